"""Why something failed, in one line: without control characters, secrets and whole files."""

import re

from rlhf_core.errors import RlhfError
from rlhf_core.texts import shortened
from tasks.addresses import masked

LONGEST = 2000
"""Characters of a line, which may list many problems or valid words."""


def line(text: str) -> str:
    """One line without control characters and secrets, in which no word repeats a whole file."""
    words = (shortened(word) for word in re.sub(r"[\x00-\x1f\x7f]", " ", masked(text)).split())
    return shortened(" ".join(words), LONGEST)


def reason(error: BaseException) -> str:
    """What to say of an exception: its sentence if it was raised on purpose, else what it is."""
    return line(str(error) if isinstance(error, RlhfError) else unexpected(error))


def unexpected(error: BaseException) -> str:
    """What to say of an exception that was not raised on purpose."""
    from rlhf_core.origin import described, origin
    from rlhf_core.plugin import plugin_packages

    place, text = origin(error, plugin_packages()), described(error)
    if place is not None:
        return f"{text} ({place})"
    if isinstance(error, (OSError, MemoryError)):
        return text
    return f"{text}; this is a defect of rlhf-flows"

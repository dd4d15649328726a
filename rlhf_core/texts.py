"""Texts of messages: what was given is repeated, but not all of a long one."""

LONGEST = 200
"""Characters that a message repeats of what it was given."""


def shortened(text: str, most: int = LONGEST) -> str:
    """The text, or its head and its length where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    return f"{text[:most]}... ({len(text):,} characters)"

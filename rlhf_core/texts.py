"""Texts of messages: what was given is repeated, but not all of a long one."""

LONGEST = 200
"""Characters that a message repeats of what it was given."""


def shortened(text: str, most: int = LONGEST) -> str:
    """The text, or its head and its length where it is longer than `most` characters."""
    if len(text) <= most:
        return text
    return f"{text[:most]}... ({len(text):,} characters)"


def shortened_repr(value: object) -> str:
    """A value as Python writes it, shortened."""
    try:
        return shortened(repr(value))
    except ValueError:
        # Python writes no integers of more than some thousand digits.
        return f"an object of type {type(value).__name__} that is too large to be shown"


def duration(seconds: float) -> str:
    """Seconds as people say them, such as `3 min 05 s`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def number(value: float | None, digits: int) -> str:
    """A number with so many decimals, thousands apart; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"

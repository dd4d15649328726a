"""Reading files that a user names: regular ones, of a size that is meant."""

import os
import stat
from pathlib import Path

from rlhf_core.errors import ConfigurationError
from rlhf_core.texts import shortened


def read_regular(path: Path, most: int) -> bytes:
    """The content of a regular file.

    Args:
        path: of the file.
        most: bytes that it may have.

    Raises:
        ConfigurationError: there is none, it is a pipe, a device or a folder, or it is too large.
    """
    name = shortened(str(path).replace("\0", "\\0"))
    try:
        # A pipe that nobody writes to must not be waited for.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{name}: cannot be read: {error}") from error
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise ConfigurationError(
            f"{name}: cannot be read: expected a regular file, actual: {_kind(status.st_mode)}"
        )
    with open(handle, "rb") as file:
        try:
            content = file.read(most + 1)
        except OSError as error:
            raise ConfigurationError(f"{name}: cannot be read: {error}") from error
    if len(content) > most:
        raise ConfigurationError(
            f"{name}: cannot be read: expected at most {most:,} bytes, actual: "
            f"{max(status.st_size, len(content)):,}"
        )
    return content


def _kind(mode: int) -> str:
    kinds = {
        stat.S_ISDIR: "a folder",
        stat.S_ISFIFO: "a pipe",
        stat.S_ISSOCK: "a socket",
        stat.S_ISCHR: "a device",
        stat.S_ISBLK: "a device",
    }
    return next((name for holds, name in kinds.items() if holds(mode)), "something else")

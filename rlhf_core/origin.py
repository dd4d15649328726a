"""Where an exception comes from: the line of somebody else's code that it passed last."""

import inspect
import sysconfig
import traceback
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import rlhf_core

ROOT = Path(rlhf_core.__file__).resolve().parents[1]
OURS = tuple(ROOT / name for name in ("rlhf_core", "tasks", "flows"))
"""Folders of this project's own packages."""
INSTALLED = ("site-packages", "dist-packages")
PYTHON = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib"))


def origin(error: BaseException, packages: Collection[str] = ()) -> str | None:
    """The last line of user code that an exception passed, as `file:line`.

    User code is neither of this project, nor of Python, nor installed. The exceptions that led to
    this one are looked through too.

    Args:
        error: as it was caught.
        packages: dotted names of installed packages that count as user code, such as the one that
            an environment comes from.
    """
    while True:
        if isinstance(error, SyntaxError) and error.filename:
            return _shown(error.filename, error.lineno or 0)
        lines = [line for line in _lines(error) if _is_foreign(*line[:2], packages)]
        if lines:
            _, file, number = lines[-1]
            return _shown(file, number)
        before = error.__cause__ or error.__context__
        if before is None:
            return None
        error = before


def source(member: Any) -> str | None:
    """Where a function or class is defined, as `file:line`; None where that is unknown."""
    try:
        file = inspect.getsourcefile(member)
        return None if file is None else _shown(file, inspect.getsourcelines(member)[1])
    except (OSError, TypeError):
        return None  # Written in C, or typed into a prompt.


def described(error: BaseException) -> str:
    """An exception in one line: its type and its text."""
    if isinstance(error, SystemExit):
        return f"SystemExit: sys.exit({'' if error.code is None else repr(error.code)}) was called"
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _lines(error: BaseException) -> Iterator[tuple[str, str, int]]:
    """Module, file and line of every frame, the outermost first."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        yield str(frame.f_globals.get("__name__")), frame.f_code.co_filename, number


def _is_foreign(module: str, file: str, packages: Collection[str]) -> bool:
    if any(f"{module}.".startswith(f"{package}.") for package in packages):
        return True
    path = Path(file)
    if file.startswith("<") or any(part in INSTALLED for part in path.parts):
        return False
    path = path.resolve()
    return not any(path.is_relative_to(folder) for folder in (*OURS, *PYTHON))


def _shown(file: str, line: int) -> str:
    """The path as seen from the working folder."""
    path = Path(file)
    here = Path.cwd()
    if path.is_relative_to(here):
        path = path.relative_to(here)
    return f"{path}:{line}"

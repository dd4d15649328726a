"""The command on the home that the tests of flows share, each in a process from nothing."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.flows.conftest import Command, shared_home

__all__ = ["shared_home"]


@pytest.fixture
def rlhf(shared_home: Path, tmp_path: Path) -> Iterator[Command]:
    """The command as a user starts it: what it imports, and from where, is part of the tests."""
    with closing(Command(shared_home, tmp_path)) as command:
        yield command

"""The tree of errors in the docstring is the tree of classes."""

import inspect
import re

from rlhf_core import errors
from rlhf_core.errors import RlhfError


def test_the_docstring_draws_the_tree_as_it_is() -> None:
    drawn: dict[str, str] = {}
    above: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"([│ ]*)(?:[├└]── )?(\w+Error)\b", line)
        if not found or ("──" not in line and line != "RlhfError"):
            continue
        depth = line.index(found[2]) // 4
        above = [*above[:depth], found[2]]
        drawn[found[2]] = above[-2] if depth else "Exception"
    actual = {
        name: member.__base__.__name__
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, RlhfError)
    }
    assert drawn == actual

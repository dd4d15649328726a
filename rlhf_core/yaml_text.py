"""YAML of users: no Python objects, no key twice, no more values than an experiment can have."""

from collections.abc import Hashable
from typing import Any

import yaml

from rlhf_core.errors import ConfigurationError
from rlhf_core.texts import shortened

VALUES = 10_000
"""Values of a text, aliases expanded; the largest preset has 60."""
LARGEST_INTEGER = 2**63


def parse(text: str, source: str) -> Any:
    """The value of a text of YAML.

    Args:
        text: of at most `VALUES` values, each counted as often as it is referred to.
        source: what messages call the text.

    Raises:
        ConfigurationError: names line and column, and what is wrong there.
    """
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506, a safe loader
    except RecursionError:
        raise ConfigurationError(f"{source}: not valid YAML: nested too deeply") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = shortened(getattr(error, "problem", None) or str(error).splitlines()[0])
        raise ConfigurationError(f"{source}: not valid YAML: {place}{problem}") from None


class _Loader(yaml.SafeLoader):
    """YAML without tags for Python objects, and without keys that silently win over others."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _size(node, {}) > VALUES:
            problem = f"expected at most {VALUES:,} values, aliases counted as what they stand for"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else key
            if name in keys:
                problem = f"'{shortened(str(name), 80)}' stands twice in one mapping"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            keys.add(name)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number: int = super().construct_yaml_int(node)
        if abs(number) >= LARGEST_INTEGER:
            problem = f"expected an integer below 2^63, actual: '{shortened(node.value, 40)}'"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return number

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, AttributeError):
            # A date in month 13, a number of no digits.
            kind = str(node.tag).rpartition(":")[2]
            problem = f"'{str(node.value)[:40]}' looks like a value of type {kind}, and is none"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Values in a node, those behind an alias counted each time.

    Raises:
        MarkedYAMLError: an alias stands inside of what it stands for.
    """
    if isinstance(node, yaml.ScalarNode):
        return 1
    if known.get(id(node)) == 0:
        raise yaml.MarkedYAMLError(
            problem="an alias stands inside of what it stands for", problem_mark=node.start_mark
        )
    if id(node) not in known:
        known[id(node)] = 0
        pairs = node.value if isinstance(node, yaml.MappingNode) else [(n,) for n in node.value]
        known[id(node)] = 1 + sum(_size(inner, known) for pair in pairs for inner in pair)
    return known[id(node)]

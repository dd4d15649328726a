"""Facts about an environment, read once for each set of fields."""

from dataclasses import dataclass, field
from typing import NamedTuple

from rlhf_core.environments.spaces import Spaces


class Facts(NamedTuple):
    """Facts that are read from one copy of an environment."""

    spaces: Spaces
    limit: int | None
    """Steps after which an episode is cut off; None: there is no limit."""
    has_vector_form: bool
    """A `vector_entry_point` is registered beside the single environment."""
    reward_threshold: float | None = None
    """Return at which Gymnasium counts the environment as solved; None: it names none."""
    registered_limit: int | None = None
    """The time limit that the environment was registered with."""


@dataclass(eq=False)
class KnownFacts:
    """Facts by the fields that they hold for. Copies of a configuration share them.

    Two of them are always equal, because they are no part of the configuration.
    """

    facts: dict[str, Facts] = field(default_factory=dict)
    vector_form_is_usable: dict[str, bool] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KnownFacts)

    def __hash__(self) -> int:
        return hash(KnownFacts)

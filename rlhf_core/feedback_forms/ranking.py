"""Put a group of clips in order."""

from typing import TYPE_CHECKING, Literal

from rlhf_core.feedback_forms import GroupForm

if TYPE_CHECKING:
    pass


class Ranking(GroupForm):
    """Put `group_size` clips in order. A ranking of K counts as K - 1 labels, its named places.

    The likelihood is that of Plackett and Luce (Plackett 1975, doi:10.2307/2346567).
    """

    kind: Literal["ranking"] = "ranking"

    def worth(self) -> int:
        """The places that are named; the last one follows from the others."""
        return self.group_size - 1

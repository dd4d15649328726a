"""Which of a group of clips is the best?"""

from typing import TYPE_CHECKING, Literal

from rlhf_core.feedback_forms import GroupForm

if TYPE_CHECKING:
    pass


class BestOf(GroupForm):
    """Which of `group_size` clips is the best? One label a group.

    P(k is chosen) = exp(R_k) / sum of exp(R), the first place of a ranking by Plackett and Luce
    (1975, doi:10.2307/2346567).
    """

    kind: Literal["best_of"] = "best_of"

    def worth(self) -> int:
        """Return 1: an answer names one place."""
        return 1

"""Rate what happened just before one moment of a clip."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from rlhf_core.feedback_forms import Respondent, ScaleForm, Simulated
from rlhf_core.questions import Queries, Request
from rlhf_core.rewards.model import Likelihoods
from rlhf_core.types import Segments

if TYPE_CHECKING:
    pass


class Signal(ScaleForm):
    """Rate what happened just before one moment of a clip, as a trainer does who watches (TAMER).

    `likelihoods.delay_steps` spreads the rating over the steps that it is a reaction to (Knox and
    Stone 2009, https://doi.org/10.1145/1597735.1597738).
    """

    kind: Literal["signal"] = "signal"

    def compose(
        self,
        items: np.ndarray,
        segments: Segments,
        likelihoods: Likelihoods,
        rng: np.random.Generator,
    ) -> Queries:
        """A random moment of each clip, late enough that there is something to react to."""
        length = segments.mask[items[:, 0]].sum(axis=1)
        first = np.minimum(likelihoods.delay_steps[0], length - 1)
        step = rng.integers(first, length)
        return Queries(items, step, self.worth(), self.model_dump_json())

    def simulate(
        self,
        queries: Queries,
        request: Request,
        respondent: Respondent,
        first_brought: int,
        rng: np.random.Generator,
    ) -> Simulated:
        """Ask the annotator to rate every moment."""
        assert queries.step is not None, "a signal is of a moment"
        return Simulated(*respondent.rate(queries.items[:, 0], queries.step))

"""Users of a dialogue who are never asked: what they repeat and that they hang up is the answer."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from pydantic import Field

from rlhf_core.environments.factory import Environment
from rlhf_core.environments.making import close
from rlhf_core.errors import ConfigurationError
from rlhf_core.implicit.annotator import Implicit
from rlhf_core.implicit.signs import REPEATED, ShowsSigns, SignColumns
from rlhf_core.segments import transitions
from rlhf_core.types import Segments


class Signs(Implicit):
    """Reads ratings and signals from what users of a dialogue do; nobody is asked.

        label of a turn = sum over signs of weight x (1 where the sign shows in the turn)

    A rating is the mean label of a clip's turns; turns after the end show nothing. By default two
    signs count against a turn, the user hangs up and the system asks again for what has been
    said, as in studies of spoken dialogues without ratings (Walker et al. 2000, "Learning to
    Predict Problematic Situations in a Spoken Dialogue System"). The true reward is not read.
    """

    kind: Literal["signs"] = "signs"
    weights: dict[str, float] = Field(
        default_factory=lambda: {"hang_up": -1.0, REPEATED: -0.1}, min_length=1
    )
    """What each sign is worth. `rlhf/Dialogue-v0` shows inform, yes, no, complaint, accept, hang_up
    and repeated."""

    def read_arrays(
        self, environment: Environment, rng: np.random.Generator
    ) -> Mapping[str, np.ndarray]:
        """Look up where the signs stand."""
        columns = self._columns(environment)
        acts = [name for name in self.weights if name != REPEATED]
        return {
            "acts": np.array([columns.acts[name] for name in acts], dtype=np.int64),
            "weights": np.array([self.weights[name] for name in acts]),
            "repeated": np.array(self.weights.get(REPEATED, 0.0)),
            "over": columns.over,
            "known": columns.known,
        }

    def check_environment(self, environment: Environment) -> None:
        """Refuse environments that do not show the signs."""
        self._columns(environment)

    def step_labels(
        self, arrays: Mapping[str, np.ndarray], segments: Segments
    ) -> Float[np.ndarray, "S L"]:
        """The label of every turn in the clips."""
        observations, actions, following, _ = transitions(segments)
        rows, known = np.arange(len(observations)), arrays["known"][actions.ravel()]
        again = (known >= 0) & (observations[rows, known] > 0.5)
        labels = (following[:, arrays["acts"]] > 0.5) @ arrays["weights"]
        labels = labels + float(arrays["repeated"]) * again
        over = (observations[:, arrays["over"]] > 0.5).any(axis=1)
        made: np.ndarray = np.where(over, 0.0, labels).reshape(segments.mask.shape)
        return made

    def _columns(self, environment: Environment) -> SignColumns:
        env = environment.make()
        try:
            shows = env.unwrapped
            if not isinstance(shows, ShowsSigns):
                raise ConfigurationError(
                    "annotator.kind: 'signs' expected an environment that shows what its users do, "
                    f"such as rlhf/Dialogue-v0, actual: '{environment.id}'"
                )
            columns = shows.sign_columns()
        finally:
            close(env, environment.id)
        valid = [*columns.acts, REPEATED]
        unknown = sorted({*self.weights} - {*valid})
        if unknown:
            raise ConfigurationError(
                f"annotator.weights: expected signs among {', '.join(valid)}, actual: "
                f"{', '.join(unknown)}"
            )
        return columns

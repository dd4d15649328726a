"""The base of all optimisers of language models."""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
from pydantic import NonNegativeFloat, PositiveFloat

from rlhf_core.acting import Act
from rlhf_core.cloning_settings import Cloning
from rlhf_core.environments.factory import Environment
from rlhf_core.environments.spaces import Spaces
from rlhf_core.language.settings import FineTuning, ModelSettings, expect_transformers
from rlhf_core.language.tokens import Vocabulary, vocabulary_of
from rlhf_core.policies import Cloned, Optimiser, PolicyState
from rlhf_core.sizes import TRAINED

START_COPY = 8
"""Bytes of a parameter of the start policy: in the state and in the model."""


class LanguageOptimiser(Optimiser):
    """A causal language model that writes texts, improved relative to its start policy.

    A run begins with the model after supervised fine-tuning on the environment's corpus. That is
    the start policy: a penalty on the divergence from it keeps texts readable.
    """

    # A token's probability depends on the text, and rewards are asked for single steps.
    stochastic: ClassVar[bool] = False
    packages: ClassVar[tuple[str, ...]] = ("transformers",)
    model: ModelSettings = ModelSettings()
    """The language model."""
    fine_tuning: FineTuning = FineTuning()
    """Supervised fine-tuning at the start of a run."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size."""
    kl_coefficient: NonNegativeFloat = 0.05
    """beta, weight of the divergence from the start policy, in units of reward a nat."""
    max_gradient_norm: PositiveFloat = 1.0
    """Gradients are scaled down to this norm."""

    def vocabulary(self, spaces: Spaces) -> Vocabulary:
        """Return the tokens of an environment. Raises `ConfigurationError` where it has none."""
        return vocabulary_of(spaces, self.kind)

    def check_spaces(self, spaces: Spaces) -> None:
        """Check that an episode is a text, and that the model's folder fits its tokens."""
        vocabulary = self.vocabulary(spaces)
        expect_transformers(self.kind)
        if self.model.folder is not None:
            from rlhf_core.language.model import folder_architecture

            folder_architecture(self.model.folder, vocabulary)

    def memory(self, environment: Environment) -> Mapping[str, int]:
        """Return the bytes of the model in training, and of its start policy."""
        if self.model.folder is not None:
            return {}
        vocabulary = self.vocabulary(environment.spaces())
        width = self.model.hidden
        count = self.model.layers * 12 * width**2 + width * sum(vocabulary)
        return {"model.hidden": (TRAINED + START_COPY) * count}

    def initial(self, spaces: Spaces, seed: int) -> PolicyState:
        """Return the model before fine-tuning."""
        expect_transformers(self.kind)
        from rlhf_core.language.model import initial_state

        return initial_state(self.model, self.vocabulary(spaces), seed)

    def first_policy(self, environment: Environment, seed: int) -> PolicyState:
        """Return the model after supervised fine-tuning on the corpus of the environment."""
        spaces = environment.spaces()
        state = self.initial(spaces, seed)
        if not self.fine_tuning.epochs:
            return state
        from rlhf_core.language.fine_tuning import fine_tune, read_corpus
        from rlhf_core.language.model import restore, started

        vocabulary = self.vocabulary(spaces)
        model, corpus = restore(state), read_corpus(environment, vocabulary)
        fine_tune(model, corpus, vocabulary, self.fine_tuning, np.random.default_rng(seed))
        return started(state, model)

    def clone(self, state: PolicyState, spaces: Spaces, cloning: Cloning, seed: int) -> Cloned:
        """Return the model after training on demonstrated texts; it is its own start policy."""
        from rlhf_core.language.fine_tuning import clone
        from rlhf_core.language.model import restore, started

        model = restore(state)
        rng = np.random.default_rng(seed)
        metrics = clone(model, self.vocabulary(spaces), cloning, rng)
        return Cloned(replace(started(state, model), steps=state.steps), metrics)

    def act(self, state: PolicyState, spaces: Spaces, deterministic: bool, seed: int = 0) -> Act:
        """Return the model as a function of texts so far."""
        from rlhf_core.language.likelihood import sampler
        from rlhf_core.language.model import restore

        rng = np.random.default_rng(seed)
        return sampler(restore(state), self.vocabulary(spaces), deterministic, rng)

"""Which language model a policy is, and how it is fine-tuned before a run; without torch."""

from collections.abc import Iterator
from importlib.util import find_spec

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from rlhf_core.errors import ConfigurationError
from rlhf_core.plugin import Config


class ModelSettings(Config):
    """A causal language model: a small GPT-2 with random weights, or a folder."""

    layers: PositiveInt = Field(2, le=96)
    """Blocks of the GPT-2."""
    heads: PositiveInt = Field(2, le=128)
    """Attention heads of a block."""
    hidden: PositiveInt = Field(64, le=16384)
    """Width of the GPT-2, a multiple of the heads."""
    folder: str | None = Field(None, max_length=4096)
    """Folder of a causal language model of transformers: `config.json` and weights in safetensors,
    with the vocabulary of the environment. Its architecture then goes before the other fields.
    Nothing is downloaded, and no pickled weights or code of the folder are loaded."""

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> "ModelSettings":
        if self.hidden % self.heads:
            raise ValueError(
                f"hidden: expected a multiple of the {self.heads} heads, actual: {self.hidden}"
            )
        return self

    def folders(self) -> Iterator[tuple[str, str]]:
        """Yield the folder of the model, where it is not made of settings."""
        if self.folder is not None:
            yield "folder", self.folder


class FineTuning(Config):
    """Supervised fine-tuning on the environment's corpus before the first episode."""

    epochs: NonNegativeInt = 6
    """Passes over the corpus; 0 begins with the model as it is."""
    batch_size: PositiveInt = 32
    """Texts a gradient step."""
    learning_rate: PositiveFloat = 1e-3
    """Adam's step size at the start; it decays linearly to 0."""


def expect_transformers(kind: str) -> None:
    """Raise `ConfigurationError` unless transformers is installed."""
    if find_spec("transformers") is None:
        raise ConfigurationError(
            f"optimiser.kind: '{kind}' needs transformers, which is not installed; "
            "pip install 'rlhf-flows[language]'"
        )

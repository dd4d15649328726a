"""Causal language models of transformers: made from settings or a folder, from and to arrays."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rlhf_core.errors import ConfigurationError
from rlhf_core.language.settings import ModelSettings
from rlhf_core.language.tokens import Vocabulary
from rlhf_core.policies import PolicyState
from rlhf_core.seeding import isolated

ARCHITECTURE = "architecture"
"""Key of `PolicyState.optimizer_state`: the model's configuration as the bytes of its JSON, so that
a stored policy acts without the folder that it came from."""
START, ADAM = "start/", "adam/"
"""Prefixes of `PolicyState.optimizer_state`: weights of the start policy, and Adam's moments."""

Weights = dict[str, np.ndarray]


def initial_state(settings: ModelSettings, vocabulary: Vocabulary, seed: int) -> PolicyState:
    """Return the policy of random weights, or of the weights of a folder."""
    with isolated(seed), _silence():
        if settings.folder is None:
            architecture = _small(settings, vocabulary)
            model = _made(architecture)
        else:
            architecture = folder_architecture(settings.folder, vocabulary)
            model = _loaded(settings.folder)
    return PolicyState(weights(model), _facts(architecture, weights(model)))


def restore(state: PolicyState) -> nn.Module:
    """Return the model of a policy."""
    return _restored(state, state.parameters)


def restore_start(state: PolicyState) -> nn.Module:
    """Return the model of the start policy, which is not trained."""
    return _restored(state, with_prefix(state.optimizer_state, START)).requires_grad_(False)


def started(state: PolicyState, model: nn.Module) -> PolicyState:
    """Return a policy that is its own start policy, with a fresh state of Adam."""
    trained = weights(model)
    facts = _facts(_architecture(state), trained)
    return PolicyState(trained, facts, state.steps)


def weights(model: nn.Module) -> Weights:
    """Return the parameters by name; weights that two layers share stand there once."""
    return {name: p.detach().numpy().copy() for name, p in model.named_parameters()}


def with_prefix(arrays: Mapping[str, np.ndarray], prefix: str) -> Weights:
    """Return the arrays whose names begin with a prefix, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def folder_architecture(folder: str, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the configuration of a folder, as JSON.

    Raises:
        ConfigurationError: it holds no causal language model with safetensors, or one of another
            vocabulary or for shorter texts.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    field, path = "optimiser.model.folder", Path(folder)
    if not (path / "config.json").is_file():
        raise ConfigurationError(
            f"{field}: expected a folder with a config.json, as save_pretrained writes it, "
            f"actual: {folder}"
        )
    if not any(path.glob("*.safetensors")):
        raise ConfigurationError(
            f"{field}: expected weights in safetensors, actual: none in {folder}; "
            "model.save_pretrained(folder) writes them"
        )
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"{field}: expected the config.json of a causal language model, actual: {folder} "
            f"({reason})"
        ) from error
    if type(config) not in AutoModelForCausalLM._model_mapping:
        raise ConfigurationError(
            f"{field}: expected a causal language model, actual: {config.model_type} in {folder}"
        )
    if config.vocab_size not in (vocabulary.size, vocabulary.size + 1):
        raise ConfigurationError(
            f"{field}: expected a model of the environment's {vocabulary.size} tokens (or one more "
            f"for padding), actual: {config.vocab_size} in {folder}"
        )
    positions = getattr(config, "max_position_embeddings", None)
    if positions is not None and positions < vocabulary.longest:
        raise ConfigurationError(
            f"{field}: expected a model for texts of {vocabulary.longest} tokens, actual: "
            f"{positions} in {folder}"
        )
    architecture: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return architecture


def _small(settings: ModelSettings, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the configuration of a GPT-2 without dropout."""
    from transformers import GPT2Config

    config = GPT2Config(
        vocab_size=vocabulary.size,
        n_positions=vocabulary.longest,
        n_embd=settings.hidden,
        n_layer=settings.layers,
        n_head=settings.heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=None,
        eos_token_id=None,
    )
    architecture: dict[str, Any] = json.loads(config.to_json_string(use_diff=False))
    return architecture


def _made(architecture: Mapping[str, Any]) -> nn.Module:
    """Return a model with random weights, from torch's global generator."""
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(**architecture)
    model: nn.Module = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    # Without dropout: the ratio of two policies is 1 where their weights are equal.
    return model.eval()


def _loaded(folder: str) -> nn.Module:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        model: nn.Module = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigurationError(
            f"optimiser.model.folder: expected the weights of its config.json in safetensors, "
            f"actual: {folder} ({reason})"
        ) from error
    return model.eval()


def _restored(state: PolicyState, arrays: Mapping[str, np.ndarray]) -> nn.Module:
    with isolated(0), _silence():
        model = _made(_architecture(state))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(np.array(arrays[name])))
    return model


def _architecture(state: PolicyState) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(state.optimizer_state[ARCHITECTURE].tobytes())
    return content


def _facts(architecture: Mapping[str, Any], start: Mapping[str, np.ndarray]) -> Weights:
    """Return what a state holds beside the weights, before any gradient step."""
    content = json.dumps(architecture, sort_keys=True).encode()
    described = np.frombuffer(content, dtype=np.uint8).copy()
    return {ARCHITECTURE: described, **{f"{START}{name}": start[name] for name in start}}


@contextmanager
def _silence() -> Iterator[None]:
    """Keep transformers from writing bars and advice to the terminal."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()

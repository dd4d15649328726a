"""Language models as policies: their probabilities, their start, their folders, their refusals."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

transformers = pytest.importorskip("transformers")

import torch  # noqa: E402

from rlhf_core.configuration import from_mapping  # noqa: E402
from rlhf_core.environments.factory import Environment  # noqa: E402
from rlhf_core.errors import ConfigurationError  # noqa: E402
from rlhf_core.in_process import run  # noqa: E402
from rlhf_core.language.fine_tuning import read_corpus  # noqa: E402
from rlhf_core.language.likelihood import divergence, token_log_probs  # noqa: E402
from rlhf_core.language.model import restore, restore_start  # noqa: E402
from rlhf_core.language.settings import FineTuning, ModelSettings  # noqa: E402
from rlhf_core.language.tokens import Vocabulary  # noqa: E402
from rlhf_core.optimisers.dpo import DPO  # noqa: E402
from rlhf_core.optimisers.grpo import GRPO  # noqa: E402
from rlhf_core.packing import pack, unpack  # noqa: E402
from rlhf_core.policies import PolicyState  # noqa: E402
from rlhf_core.rewards import EnvironmentReward  # noqa: E402
from tests.core.language.examples import WALKS, labelled_walks  # noqa: E402

SMALL = ModelSettings(layers=1, hidden=16)
TOKENS = Vocabulary(21, 10)
UNTUNED = FineTuning(epochs=0)


def grpo(**fields: Any) -> GRPO:
    return GRPO.model_validate({"model": SMALL, "fine_tuning": UNTUNED, **fields})


def sevens(o: np.ndarray, a: np.ndarray, n: np.ndarray, t: np.ndarray) -> np.ndarray:
    """A reward of 1 for token 7."""
    return (a == 7).astype(np.float32)


def saved(folder: Path, vocabulary: int = 21, positions: int = 16) -> str:
    config = transformers.GPT2Config(
        vocab_size=vocabulary, n_positions=positions, n_embd=8, n_layer=1, n_head=1,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return str(folder)


def test_the_probability_of_a_text_is_that_of_drawing_it() -> None:
    state = grpo().initial(WALKS.spaces(), 0)
    model, corpus = restore(state), read_corpus(WALKS, TOKENS)
    texts = corpus.take(np.arange(6))
    log_probs = token_log_probs(model, texts, TOKENS).detach().numpy()
    # Token by token, without what follows it.
    for text, (tokens, chosen) in enumerate(zip(*texts, strict=True)):
        for place in np.flatnonzero(chosen):
            prefix = torch.from_numpy(tokens[None, : place + 1])
            following = model(input_ids=prefix).logits[0, -1].log_softmax(0)
            expected = float(following[tokens[place + 1]].detach())
            assert log_probs[text, place] == pytest.approx(expected, abs=1e-5)
    assert (log_probs[~texts.chosen] == 0).all()


def test_the_divergence_from_itself_is_zero_and_grows() -> None:
    state = grpo(learning_rate=0.01).initial(WALKS.spaces(), 0)
    start, texts = restore_start(state), read_corpus(WALKS, TOKENS).take(np.arange(50))
    assert divergence(restore(state), start, texts, TOKENS).kl == pytest.approx(0, abs=1e-6)
    after = grpo(learning_rate=0.01).optimise(state, WALKS, sevens, 288, 288, 0)
    assert divergence(restore(after.state), start, texts, TOKENS).kl > 0.01
    # The start policy stays what it was.
    for one, other in zip(restore_start(after.state).parameters(), start.parameters(), strict=True):
        assert torch.equal(one, other)


def test_fine_tuning_makes_the_corpus_likely_and_is_the_start_policy() -> None:
    optimiser = grpo(fine_tuning=FineTuning(epochs=2, learning_rate=3e-3))
    corpus = read_corpus(WALKS, TOKENS)
    untuned, tuned = optimiser.initial(WALKS.spaces(), 0), optimiser.first_policy(WALKS, 0)
    before, after = (
        float(token_log_probs(restore(state), corpus, TOKENS).sum(dim=1).mean().detach())
        for state in (untuned, tuned)
    )
    assert after > before + 4
    assert divergence(restore(tuned), restore_start(tuned), corpus, TOKENS).kl == 0
    assert pack(tuned) == pack(optimiser.first_policy(WALKS, 0))
    assert pack(tuned) != pack(optimiser.first_policy(WALKS, 1))


def test_copies_of_a_group_complete_one_prompt() -> None:
    optimiser = grpo(group_size=4, batch_size=32)
    steps = optimiser.rollout_steps(WALKS)
    played = optimiser.optimise(
        optimiser.initial(WALKS.spaces(), 0), WALKS, EnvironmentReward(), steps, steps, 0
    )
    prompts = [int(one.observations[0, -1]) for one in played.rollouts.trajectories]
    groups = np.array(prompts).reshape(-1, 4)
    assert (groups == groups[:, :1]).all()
    assert len(set(groups[:, 0])) > 1


def test_grpo_finds_the_token_that_is_paid() -> None:
    optimiser = grpo(learning_rate=0.01, kl_coefficient=0.0)
    start = optimiser.initial(WALKS.spaces(), 0)
    after = optimiser.optimise(start, WALKS, sevens, 288 * 25, 288 * 25, 0)
    taken = np.concatenate([one.actions for one in after.rollouts.trajectories[-32:]])
    assert (taken == 7).mean() > 0.5


def test_dpo_prefers_what_was_preferred() -> None:
    reward = labelled_walks()
    optimiser = DPO(
        model=SMALL, fine_tuning=UNTUNED, epochs=10, learning_rate=3e-3, kl_coefficient=0.5
    )
    start = optimiser.initial(WALKS.spaces(), 0)
    first, again = (optimiser.optimise(start, WALKS, reward, 288, 288, 0) for _ in range(2))
    assert first.metrics["policy/pair_loss"] < 0.5 < np.log(2)
    # A later round is a fresh fit from the start policy.
    later = optimiser.optimise(again.state, WALKS, reward, 288, 288, 0)
    for name, value in first.state.parameters.items():
        np.testing.assert_array_equal(value, later.state.parameters[name])


def test_a_run_resumed_between_rounds_has_equal_numbers() -> None:
    experiment = from_mapping(tiny())
    rounds: list[Any] = []
    run(experiment, rounds.append)
    again: list[Any] = []
    run(experiment, again.append, rounds[0])
    assert pack(again[-1].policy) == pack(rounds[-1].policy)
    assert again[-1].metrics == rounds[-1].metrics


def tiny(**changes: Any) -> dict[str, Any]:
    """A run of a few texts."""
    return {
        "name": "walks",
        "environment": {"id": "rlhf/RandomWalks-v0", "count": 16},
        "feedback": {
            "kind": "preference", "segment_steps": 9, "queries": "uniform", "same_start": True,
            "reward_model": {"hidden": [8], "epochs": 2, "inputs": ["next_observation"]},
        },
        "optimiser": {
            "kind": "grpo", "group_size": 4, "batch_size": 16, "fine_tuning": {"epochs": 1},
            "model": {"layers": 1, "hidden": 16},
        },
        "budget": {"env_steps": 1000, "labels": 20, "rounds": 2, "initial_steps": 400},
        "evaluation": {"episodes": 10},
        **changes,
    }  # fmt: skip


def test_a_folder_is_read_and_no_longer_needed_afterwards(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    optimiser = grpo(model=ModelSettings(folder=folder))
    optimiser.check_spaces(WALKS.spaces())
    state = unpack(pack(optimiser.initial(WALKS.spaces(), 0)), PolicyState)
    expected = transformers.GPT2LMHeadModel.from_pretrained(folder)
    for name, parameter in expected.named_parameters():
        np.testing.assert_array_equal(parameter.detach().numpy(), state.parameters[name])
    gone = grpo(model=ModelSettings(folder="/gone"))
    rows = np.full((3, 10), 21)
    rows[:, -1] = [4, 5, 6]
    assert gone.act(state, WALKS.spaces(), True)(rows).shape == (3,)


def refused(folder: str) -> str:
    with pytest.raises(ConfigurationError) as told:
        grpo(model=ModelSettings(folder=folder)).check_spaces(WALKS.spaces())
    message = str(told.value)
    assert "\n" not in message
    return message


def test_a_wrong_folder_is_refused_in_one_line(tmp_path: Path) -> None:
    assert "expected a folder with a config.json" in refused(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    assert "expected weights in safetensors" in refused(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert "the environment's 21 tokens (or one more for padding)" in refused(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "nobody"}')
    assert "expected the config.json of a causal language model" in refused(str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    assert "expected a causal language model, actual: vit" in refused(str(tmp_path))


def test_another_vocabulary_or_length_is_refused(tmp_path: Path) -> None:
    assert "actual: 50 in" in refused(saved(tmp_path / "vocabulary", vocabulary=50))
    assert "for texts of 10 tokens, actual: 8" in refused(saved(tmp_path / "short", positions=8))


def test_damaged_weights_are_refused(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigurationError, match=r"expected the weights of its config\.json"):
        grpo(model=ModelSettings(folder=folder)).initial(WALKS.spaces(), 0)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"optimiser": {"kind": "grpo", "group_size": 5}},
         "optimiser.group_size: expected a divisor of the 16 copies"),
        ({"optimiser": {"kind": "rloo", "group_size": 4, "batch_size": 12}},
         "optimiser.batch_size: expected a divisor of the 16 copies"),
        ({"optimiser": {"kind": "grpo", "model": {"hidden": 63}, "batch_size": 16}},
         "hidden: expected a multiple of the 2 heads, actual: 63"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_refused(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        from_mapping(tiny(**changes))


@pytest.mark.parametrize(
    ("feedback", "told"),
    [
        ({"kind": "true_reward"}, "learns from labelled pairs, which feedback kind 'true_reward'"),
        ({"kind": "preference", "form": "ranking"}, "use kind 'preference' with the form 'comp"),
        ({"kind": "preference", "segment_steps": 9}, "feedback.same_start: expected true"),
    ],
)
def test_dpo_refuses_feedback_without_pairs(feedback: dict[str, Any], told: str) -> None:
    optimiser = {"kind": "dpo", "fine_tuning": {"epochs": 0}}
    with pytest.raises(ConfigurationError, match=told):
        from_mapping(tiny(feedback=feedback, optimiser=optimiser))


def test_an_environment_without_a_corpus_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected an environment with a corpus"):
        read_corpus(Environment(id="CartPole-v1"), TOKENS)


def test_without_transformers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rlhf_core.language.settings.find_spec", lambda name: None)
    for use in (GRPO().check_spaces, lambda spaces: GRPO().initial(spaces, 0)):
        with pytest.raises(ConfigurationError, match=r"pip install 'rlhf-flows\[language\]'"):
            use(Environment(id="rlhf/RandomWalks-v0").spaces())

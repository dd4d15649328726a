"""The recommender and the dialogue: on paper, in a batch, as text and as pictures."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlhf_core.environments import Environment
from rlhf_core.environments.batched.chance import draw_keys, uniforms
from rlhf_core.environments.batched.dialogue import Dialogue, Outcome
from rlhf_core.environments.batched.recommender import Recommender
from rlhf_core.environments.batched.vector import BatchedEnv
from rlhf_core.environments.episodes import episode_starts, restart
from rlhf_core.environments.text_picture import picture
from rlhf_core.evaluation.returns import evaluate
from tests.core.test_batched import together

IDS = ["rlhf/Recommender-v0", "rlhf/Dialogue-v0"]


@pytest.mark.parametrize("id", IDS)
@pytest.mark.filterwarnings("ignore:.*render:UserWarning")
def test_gymnasium_accepts_them(id: str) -> None:
    env = gymnasium.make(id)
    check_env(env.unwrapped, skip_render_check=True)
    assert env.unwrapped.__doc__
    assert gymnasium.make_vec(id, num_envs=3).spec is not None


@pytest.mark.parametrize(
    ("id", "fields"),
    [
        ("rlhf/Recommender-v0", {}),
        ("rlhf/Recommender-v0", {"options": {"clicks": "cascade"}}),
        ("rlhf/Recommender-v0", {"options": {"clicks": "dynamic_bayesian"}}),
        ("rlhf/Dialogue-v0", {}),
        ("rlhf/Dialogue-v0", {"fixed_horizon": 20}),
        ("rlhf/Dialogue-v0", {"fixed_horizon": 20, "horizon_form": "played"}),
    ],
)
def test_a_batch_does_what_single_environments_do(id: str, fields: dict[str, Any]) -> None:
    # Equal bit for bit: `together` compares with a tolerance of 1e-12.
    assert together(Environment(id=id, **fields), steps=100) > 20


def test_chance_is_uniform_and_the_same_for_one_copy_as_for_many() -> None:
    key = draw_keys(np.random.default_rng(0), 5000)
    step = np.arange(5000.0) % 20
    drawn = uniforms(key, step, 4)
    np.testing.assert_array_equal(drawn[:, 7:8], uniforms(key[7:8], step[7:8], 4))
    assert ((drawn >= 0) & (drawn < 1)).all()
    np.testing.assert_allclose(drawn.mean(axis=1), 0.5, atol=0.02)
    np.testing.assert_allclose(np.corrcoef(drawn), np.eye(4), atol=0.05)
    # The next step's numbers are others.
    assert not np.isin(uniforms(key[:1], step[:1] + 1, 4), drawn[:, 0]).any()


def user(interest: float, boredom: float = 0.0, expectation: float = 0.2) -> np.ndarray:
    """State of a user who is interested in news alone: key, visit, interests, boredom, there,
    clicks, minutes, mood, expectation.
    """
    return np.array(
        [5.0, 0, interest, 0, 0, 0, boredom, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0.5, expectation]
    )


def test_satisfaction_boredom_and_leaving_are_those_of_the_table() -> None:
    states = np.stack([user(1.0), user(1.0, boredom=0.5), user(0.0, expectation=0.25)])
    batch = BatchedEnv(Recommender(), 3, 20)
    batch.reset(seed=0, options={"state": states})
    slates = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 1]])
    observations, rewards, *_ = batch.step(slates)
    bait, solid, half = 0.9 * 0.05, 0.8 * 0.95, 0.45 * 0.525
    expected = [(2 * solid + bait) / 3, (half + 2 * bait) / 3, bait]
    np.testing.assert_allclose(rewards, expected)
    # Boredom 0.12, and 0.7 x 0.5 + 0.06; bait bores nobody.
    np.testing.assert_allclose(observations[:, 0], [0.88, 0.59, 0.0], rtol=1e-6)
    mood = 0.5
    for _ in range(4):
        mood += 0.5 * (bait - 0.25)
        assert observations[2, 4] == 1
        observations, *_ = batch.step(slates)
    assert mood > 0
    assert observations[2, 4] == 0
    _, rewards, *_ = batch.step(slates)
    assert rewards[2] == 0.0


def caller(**changed: Any) -> np.ndarray:
    """State of a calm caller who wants values 0, 1, 2: key, turn, mood, patience, act, outcome,
    goal, heard, confidence, confirmed, told.
    """
    state = np.zeros(21)
    state[[0, 2, 3]] = 3.0, 1.0, changed.get("patience", 6.0)
    state[6:9] = [0, 1, 2]
    state[9:12] = changed.get("heard", [-1, -1, -1])
    return state


@pytest.mark.parametrize(
    ("state", "action", "act", "patience", "reward", "outcome"),
    [
        (caller(), 0, 1, 5.5, -0.02, Outcome.RUNNING),  # a new question
        (caller(heard=[0, -1, -1]), 0, 1, 4.5, -0.02, Outcome.RUNNING),  # asked again
        (caller(heard=[0, -1, -1]), 3, 2, 5.25, -0.02, Outcome.RUNNING),  # yes
        (caller(heard=[3, -1, -1]), 3, 3, 5.25, -0.02, Outcome.RUNNING),  # no
        (caller(), 4, 4, 4.0, -0.02, Outcome.RUNNING),  # what was never said
        (caller(heard=[0, 1, 2]), 6, 5, 6.0, 0.98, Outcome.SUCCESS),
        (caller(heard=[0, 1, 3]), 6, 3, 4.0, -0.02, Outcome.RUNNING),  # a wrong offer
        (caller(heard=[0, 1, 3], patience=2.0), 6, 6, 0.0, -0.52, Outcome.HUNG_UP),
    ],
)
def test_what_a_caller_answers(
    state: np.ndarray, action: int, act: int, patience: float, reward: float, outcome: Outcome
) -> None:
    after, rewards, terminated = Dialogue().step(state[:, None], np.array([action]))
    assert (after[4, 0], after[3, 0]) == (act, patience)
    assert rewards[0] == pytest.approx(reward)
    assert after[5, 0] == outcome
    assert terminated[0] == (outcome != Outcome.RUNNING)


def test_values_are_misheard_as_often_as_the_table_says() -> None:
    rng, dynamics = np.random.default_rng(0), Dialogue()
    state = dynamics.draw(rng, 30_000).T.copy()
    after, *_ = dynamics.step(state, np.zeros(30_000, dtype=np.int64))
    wrong = after[9] != after[6]
    rates = [wrong[state[2] == mood].mean() for mood in range(3)]
    np.testing.assert_allclose(rates, [0.15, 0.2, 0.3], atol=0.015)
    # Means of 0.4 + 0.6 sqrt(u) and 0.2 + 0.6 u^2.
    assert after[12][~wrong].mean() == pytest.approx(0.8, abs=0.01)
    assert after[12][wrong].mean() == pytest.approx(0.4, abs=0.01)


def hand_written(observations: np.ndarray) -> np.ndarray:
    """Ask what is not known, confirm what was heard with a confidence below 0.55, and offer."""
    heard, confidence = observations[:, :3] > 0, observations[:, 3:6]
    doubted = heard & (confidence < 0.55) & (observations[:, 6:9] == 0)
    actions = np.full(len(observations), 6)
    for first, wanted in ((3, doubted), (0, ~heard)):
        for slot in (2, 1, 0):
            actions = np.where(wanted[:, slot], first + slot, actions)
    return actions


@pytest.mark.parametrize("fields", [{}, {"fixed_horizon": 20}])
def test_success_is_told_by_batch_and_single(fields: dict[str, Any]) -> None:
    environment = Environment(id="rlhf/Dialogue-v0", **fields)
    single = environment.model_copy(update={"batching": "single"})
    seeds = list(range(200))
    one, other = (
        evaluate(chosen.make_vector(200), hand_written, seeds) for chosen in (environment, single)
    )
    assert one.succeeded is not None
    np.testing.assert_array_equal(one.succeeded, other.succeeded)
    assert 0.9 < one.succeeded.mean() < 0.98


@pytest.mark.parametrize("id", IDS)
def test_an_episode_reads_as_text_and_is_drawn(id: str) -> None:
    env = gymnasium.make(id, render_mode="ansi")
    env.reset(seed=3)
    for _ in range(2):
        env.step(env.action_space.sample() * 0)
    lines = str(env.render()).splitlines()
    start = "User's interests:" if "Recommender" in id else "A c"
    assert lines[0].startswith(start)
    assert sum(line.startswith(("Visit", "System")) for line in lines) == 2
    drawn = gymnasium.make(id, render_mode="rgb_array")
    drawn.reset(seed=3)
    image = drawn.render()
    assert isinstance(image, np.ndarray)
    assert (image.shape, image.dtype) == ((360, 480, 3), np.uint8)
    assert image.min() < 100
    # Long episodes show their last lines.
    assert (picture(["a"] * 50 + ["b"]) == picture(["a"] * 30 + ["b"])).all()


@pytest.mark.parametrize("id", IDS)
def test_an_episode_can_be_played_again_for_a_clip(id: str) -> None:
    environment = Environment(id=id, fixed_horizon=20)
    assert environment.clips() == "replay"
    assert environment.can_render()
    batch = environment.make_vector(4)
    observations, _ = batch.reset(seed=[1, 2, 3, 4])  # type: ignore[arg-type]
    (start, *_) = episode_starts(batch, range(4))
    assert start is not None
    env = environment.make("rgb_array")
    np.testing.assert_array_equal(restart(env, start), observations[0])
    action = batch.single_action_space.sample()
    following, *_ = batch.step(np.stack([action] * 4))
    np.testing.assert_array_equal(env.step(action)[0], following[0])

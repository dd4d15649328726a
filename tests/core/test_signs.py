"""What users of a dialogue do is read as their answer: by hand, and from whole dialogues."""

import numpy as np
import pytest

from rlhf_core.annotators.signs import Signs
from rlhf_core.environments import Environment
from rlhf_core.environments.batched.dialogue import DialogueEnv
from rlhf_core.errors import ConfigurationError
from rlhf_core.optimisers.ppo import PPO
from rlhf_core.types import Segments
from tests.core.examples import asking

ENVIRONMENT = Environment(id="rlhf/Dialogue-v0", count=4, fixed_horizon=20)
COLUMNS = DialogueEnv().sign_columns()
ASK_FOOD, CONFIRM_FOOD, OFFER = 0, 3, 6
FOOD_HEARD, FOOD_CONFIRMED = 0, 6


def clip(actions: list[int], known: list[list[int]], acts: list[str]) -> Segments:
    """One dialogue: what the system says, what it knows before each turn, what the user does."""
    observations = np.zeros((1, len(actions) + 1, 19), dtype=np.float32)
    for turn, numbers in enumerate(known):
        observations[0, turn, numbers] = 1
    for turn, act in enumerate(acts):
        observations[0, turn + 1, COLUMNS.acts[act]] = 1
    return Segments(
        actions=np.array([actions]),
        observations=observations,
        terminated=np.zeros((1, len(actions)), dtype=bool),
        mask=np.ones((1, len(actions)), dtype=bool),
        origin=np.zeros((1, 2), dtype=np.int64),
    )


def labels(segments: Segments, **fields: object) -> list[float]:
    annotator = Signs.model_validate(fields)
    arrays = annotator.read_arrays(ENVIRONMENT, np.random.default_rng(0))
    return annotator.step_labels(arrays, segments)[0].tolist()


def test_what_is_asked_again_and_hanging_up_count_against_a_turn() -> None:
    asked_twice = clip(
        [ASK_FOOD, ASK_FOOD, CONFIRM_FOOD, CONFIRM_FOOD],
        [[], [FOOD_HEARD], [FOOD_HEARD], [FOOD_HEARD, FOOD_CONFIRMED]],
        ["inform", "inform", "yes", "hang_up"],
    )
    np.testing.assert_allclose(labels(asked_twice), [0.0, -0.1, 0.0, -1.1])
    weights = {"yes": 0.5, "complaint": -2.0}
    np.testing.assert_allclose(labels(asked_twice, weights=weights), [0.0, 0.0, 0.5, 0.0])


def test_after_its_end_a_dialogue_shows_nothing() -> None:
    # In the absorbing state the last observation stays.
    ended = clip([OFFER, ASK_FOOD], [[FOOD_HEARD], [FOOD_HEARD]], ["hang_up", "hang_up"])
    np.testing.assert_allclose(labels(ended), [-1.0, 0.0])


def test_a_rating_is_the_mean_label_and_costs_nothing() -> None:
    segments = clip([ASK_FOOD, ASK_FOOD], [[], [FOOD_HEARD]], ["inform", "hang_up"])
    annotator = Signs()
    state = annotator.prepare(ENVIRONMENT, PPO(), 0, np.random.default_rng(0))
    request = asking(segments, rating=[0], signal=[(0, 1)])
    after, answers = annotator.answer(state, request, None, np.random.default_rng(0))
    np.testing.assert_allclose(answers.judgements["rating"].value, [-0.55])  # type: ignore[attr-defined]
    assert (answers.cost, answers.labels, after.judgements) == (0.0, 2, 2)
    assert not annotator.needs_true_reward()


def test_signs_of_dialogues_that_are_played() -> None:
    env = DialogueEnv()
    rng = np.random.default_rng(0)
    hung_up = 0
    for seed in range(30):
        observation, _ = env.reset(seed=seed)
        before, actions, known, over = observation, list[int](), [observation], False
        while not over:
            actions.append(int(rng.integers(env.action_space.n)))  # type: ignore[attr-defined]
            before, reward, over, _, _ = env.step(actions[-1])
            known.append(before)
        segments = Segments(
            actions=np.array([actions]),
            observations=np.array([known]),
            terminated=np.zeros((1, len(actions)), dtype=bool),
            mask=np.ones((1, len(actions)), dtype=bool),
            origin=np.zeros((1, 2), dtype=np.int64),
        )
        last = labels(segments, weights={"hang_up": -1.0})
        assert last[:-1] == [0.0] * (len(actions) - 1)
        assert last[-1] == -float(reward < 0)
        hung_up += reward < 0
    assert hung_up > 0


def test_environments_and_signs_that_there_are_not_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected an environment that shows what its use"):
        Signs().check_fit(Environment(id="CartPole-v1"), False)
    with pytest.raises(ConfigurationError, match=r"annotator\.weights: .*repeated, actual: smile"):
        Signs(weights={"smile": 1.0}).check_fit(ENVIRONMENT, False)

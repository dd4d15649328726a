"""The true return of each copy's first episode, and of nothing after it."""

import numpy as np

from rlhf_core.environments import Environment
from rlhf_core.evaluation.outcome import Evaluation
from rlhf_core.evaluation.returns import evaluate
from tests.core.environments import STEPS
from tests.core.examples import HERE


def corridor(count: int, **options: int) -> Environment:
    return Environment(id=f"{HERE}:Corridor-v0", count=count, **options)


def test_each_copy_plays_its_first_episode_and_no_more() -> None:
    # Copy 0 walks on: 1 + 2 + 3, then begins again. Copy 1 turns back: 0, ten times.
    # Copy 2 goes on and back: 1, 0, 1, 0, ...
    step = 0

    def act(observations: np.ndarray) -> np.ndarray:
        nonlocal step
        step += 1
        return np.array([1, 0, step % 2])

    evaluation = evaluate(corridor(3).make_vector(), act, [0, 1, 2])
    np.testing.assert_array_equal(evaluation.returns, [6, 0, 5])
    np.testing.assert_array_equal(evaluation.lengths, [3, 10, 10])
    assert evaluation.succeeded is not None
    np.testing.assert_array_equal(evaluation.succeeded, [True, False, False])
    assert step == 10


def test_a_later_success_of_a_copy_does_not_count() -> None:
    # Copy 0 falls into the pit at once and reaches the goal in its second episode, while copy 1
    # still goes on and back in its first.
    actions = iter([[0, 1], [1, 0], [1, 1], [1, 0], *[[0, 1], [0, 0]] * 3])
    vector = Environment(id=f"{HERE}:Corridor-v0", options={"pit": True}).make_vector(2)
    evaluation = evaluate(vector, lambda o: np.array(next(actions)), [0, 1])
    assert evaluation.succeeded is not None
    np.testing.assert_array_equal(evaluation.returns, [0, 5])
    np.testing.assert_array_equal(evaluation.lengths, [1, 10])
    np.testing.assert_array_equal(evaluation.succeeded, [False, False])


def test_success_has_the_key_of_gymnasium_robotics_or_of_meta_world() -> None:
    def walk(key: str) -> Evaluation:
        vector = Environment(id=f"{HERE}:Corridor-v0", options={"success": key}).make_vector(2)
        return evaluate(vector, lambda o: np.array([1, 0]), [0, 1])

    for key in ("is_success", "success"):
        succeeded = walk(key).succeeded
        assert succeeded is not None
        np.testing.assert_array_equal(succeeded, [True, False])
    assert walk("solved").succeeded is None


def test_a_text_under_the_key_of_success_is_no_success() -> None:
    options = {"success": "success", "text": True}
    vector = Environment(id=f"{HERE}:Corridor-v0", options=options).make_vector(2)
    assert evaluate(vector, lambda o: np.array([1, 0]), [0, 1]).succeeded is None


def test_without_a_word_of_success_there_is_none() -> None:
    environment = Environment(id=f"{HERE}:Shapes-v0", options={"ends_at": 4})
    evaluation = evaluate(environment.make_vector(2), lambda o: np.array([0, 1]), [0, 1])
    assert evaluation.succeeded is None
    np.testing.assert_array_equal(evaluation.returns, [0, 4])
    np.testing.assert_array_equal(evaluation.lengths, [4, 4])


def test_episodes_begin_from_their_seeds() -> None:
    vector = Environment(id=f"{HERE}:Drift-v0").make_vector(3)

    def still(observations: np.ndarray) -> np.ndarray:
        return np.zeros((3, 1), dtype=np.float32)

    first = evaluate(vector, still, [1, 2, 1])
    assert first.returns[0] == first.returns[2] != first.returns[1]
    start = Environment(id=f"{HERE}:Drift-v0").make().reset(seed=1)[0]
    np.testing.assert_allclose(first.returns[0], -5 * float(start[0]) ** 2, rtol=1e-6)
    np.testing.assert_array_equal(first.returns, evaluate(vector, still, [1, 2, 1]).returns)


def test_the_reward_at_the_last_step_counts() -> None:
    environment = Environment(id=f"{HERE}:Shapes-v0")
    evaluation = evaluate(environment.make_vector(1), lambda o: np.array([2]), [0])
    assert evaluation.returns.tolist() == [STEPS]

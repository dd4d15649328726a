"""Which pairs are asked about, computed by hand."""

import numpy as np
import pytest

from rlhf_core.evidence import Queries
from rlhf_core.queries.disagreement import Disagreement
from rlhf_core.queries.uniform import Uniform
from tests.core.examples import segments

CLIPS = segments(np.zeros((6, 2)))
PAIRS = Queries(np.array([[0, 1], [2, 3], [4, 5]]))
LOG_3 = float(np.log(3))  # sigmoid(log 3) = 3/4

# Returns of the six segments under two members. Pair (0, 1): P(right) 1/2 and 1/2, variance 0.
# Pair (2, 3): 3/4 and 1/4, variance 1/16. Pair (4, 5): 1/2 and 3/4, variance 1/64.
RETURNS = np.array(
    [
        [7, 7, 0, LOG_3, 1, 1],
        [-2, -2, 0, -LOG_3, 1, 1 + LOG_3],
    ]
)


def asked(count: int, returns: np.ndarray = RETURNS, seed: int = 0) -> list[list[int]]:
    chosen = Disagreement().select(PAIRS, CLIPS, returns, count, np.random.default_rng(seed))
    found: list[list[int]] = chosen.pair.tolist()
    return found


def test_disagreement_asks_where_the_predicted_preferences_vary_most() -> None:
    assert asked(1) == [[2, 3]]
    assert sorted(asked(2)) == [[2, 3], [4, 5]]
    assert sorted(asked(3)) == PAIRS.items.tolist()


def test_disagreement_is_about_preferences_and_not_about_returns() -> None:
    # Members differ by 1000 in return and agree on the order of the first pair; on the second
    # they differ by 2 and quarrel.
    returns = np.array([[0, 1000, 0, 1, 0, 0], [0, 2000, 1, 0, 0, 0]], dtype=np.float64)
    assert asked(1, returns) == [[2, 3]]


def test_disagreement_does_not_overflow() -> None:
    returns = np.array([[-1e30, 1e30, 0, 0, 0, 0], [1e30, -1e30, 0, 0, 0, 0]])
    assert asked(1, returns) == [[0, 1]]


def test_disagreement_asks_in_random_order() -> None:
    orders = {str(asked(3, seed=seed)) for seed in range(30)}
    assert len(orders) == 6


def test_disagreement_draws_more_candidates_than_it_asks() -> None:
    assert Disagreement(oversample=7).candidates(3) == 21


def test_uniform_draws_what_it_asks() -> None:
    assert Uniform().candidates(3) == 3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_uniform_asks_each_pair_equally_often_and_never_twice(count: int) -> None:
    rng = np.random.default_rng(0)
    times = np.zeros(3)
    for _ in range(3000):
        chosen = Uniform().select(PAIRS, CLIPS, RETURNS, count, rng).pair
        assert len({tuple(pair) for pair in chosen.tolist()}) == count
        times += np.isin(PAIRS.items[:, 0], chosen[:, 0])
    # Each of 3 pairs is asked with probability count / 3, standard error at most 26.
    assert np.abs(times - 1000 * count).max() < 110

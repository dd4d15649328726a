"""Every place in a run draws numbers of its own, and the same ones each time."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rlhf_core.environments.factory import episode_seeds
from rlhf_core.seeding import generator, integer, isolated


def draw(seed: int = 0, round: int = 0, stage: str = "ask", member: int = 0) -> list[int]:
    return list(generator(seed, round, stage, member).integers(2**62, size=4))


def test_same_place_same_numbers() -> None:
    assert draw(3, 1, "fit", 2) == draw(3, 1, "fit", 2)


@pytest.mark.parametrize(
    "place", [{"seed": 1}, {"round": 1}, {"stage": "fit"}, {"member": 1}], ids=str
)
def test_another_place_other_numbers(place: dict[str, int | str]) -> None:
    assert draw() != draw(**place)  # type: ignore[arg-type]


def test_swapping_round_and_member_is_another_place() -> None:
    assert draw(round=1, member=2) != draw(round=2, member=1)


def test_streams_of_two_places_are_uncorrelated() -> None:
    first, second = (generator(0, round, "ask").standard_normal(20_000) for round in (0, 1))
    # The correlation of independent normal numbers has standard deviation 1 / sqrt(n) = 0.007.
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


@given(st.integers(0, 2**63))
def test_integers_fit_what_libraries_want(seed: int) -> None:
    assert 0 <= integer(generator(seed, 0, "ask")) < 2**31


def test_each_copy_gets_a_seed_of_its_own() -> None:
    seeds = episode_seeds(generator(0, 0, "collect"), 64)
    assert len(set(seeds)) == 64
    assert all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)


def globally() -> tuple[float, float, float]:
    return random.random(), float(np.random.random()), float(torch.rand(()))


def test_isolated_draws_the_same_whatever_went_before() -> None:
    with isolated(5):
        first = globally()
    globally()
    with isolated(5):
        assert globally() == first
    with isolated(6):
        assert all(a != b for a, b in zip(globally(), first, strict=True))


def test_isolated_puts_the_global_generators_back_even_after_an_error() -> None:
    for seed in (np.random.seed, random.seed, torch.manual_seed):
        seed(11)
    expected = globally()
    for seed in (np.random.seed, random.seed, torch.manual_seed):
        seed(11)
    with pytest.raises(KeyError), isolated(5):  # noqa: PT012
        globally()
        raise KeyError
    assert globally() == expected

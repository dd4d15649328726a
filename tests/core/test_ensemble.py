"""The reward ensemble against a loop in NumPy, and its scales."""

from dataclasses import replace

import numpy as np
import pytest
from gymnasium import spaces

from rlhf_core.environments.spaces import Spaces
from rlhf_core.rewards.model import EnsembleState, Input, RewardModel
from rlhf_core.rewards.network import WIDEST, RewardEnsemble, initial, restore, transitions
from rlhf_core.types import Segments
from tests.core.examples import LINE, segments

PLANE = Spaces(spaces.Box(-100, 100, (2,)), spaces.Discrete(3))
ALL: tuple[Input, ...] = ("observation", "action", "next_observation", "terminated")


def batch(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(3, 2, (count, 2)).astype(np.float32),
        rng.integers(3, size=count),
        rng.normal(3, 2, (count, 2)).astype(np.float32),
        rng.random(count) < 0.3,
    )


def clips(count: int = 6, steps: int = 4, seed: int = 0) -> Segments:
    seen, done, after, ended = (
        column.reshape(count, steps, *column.shape[1:]) for column in batch(count * steps, seed)
    )
    return Segments(
        observations=np.concatenate([seen, after[:, -1:]], axis=1),
        actions=done,
        terminated=ended,
        mask=np.arange(steps) < np.arange(1, count + 1)[:, None],
        origin=np.zeros((count, 2), dtype=np.int64),
    )


def fresh(hidden: tuple[int, ...] = (5, 4), inputs: tuple[Input, ...] = ALL) -> RewardEnsemble:
    model = RewardModel(hidden=hidden, members=3, inputs=inputs)
    return initial(model, PLANE, clips(), np.random.default_rng(0))


def by_hand(ensemble: RewardEnsemble, rows: np.ndarray) -> np.ndarray:
    """One member, one layer, one row at a time."""
    parameters = ensemble.state.parameters
    layers = len(parameters) // 2
    rewards = np.zeros((3, len(rows)))
    for member in range(3):
        for index, row in enumerate(rows.astype(np.float64)):
            hidden = row
            for layer in range(layers):
                weight = parameters[f"weight_{layer}"][member]
                hidden = hidden @ weight + parameters[f"bias_{layer}"][member, 0]
                if layer < layers - 1:
                    hidden = hidden / (1 + np.exp(-hidden))  # SiLU
            rewards[member, index] = hidden[0]
    return rewards


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4)], ids=str)
def test_the_forward_pass_is_a_perceptron_for_each_member(hidden: tuple[int, ...]) -> None:
    ensemble, transition = fresh(hidden), batch(7, seed=1)
    raw = ensemble.members(*transition)
    assert raw.shape == (3, 7)
    np.testing.assert_allclose(raw, by_hand(ensemble, ensemble.features(*transition)), atol=1e-5)


def test_the_inputs_stand_side_by_side_and_standardised() -> None:
    state = EnsembleState(
        {},
        np.arange(9, dtype=np.float32),
        np.array([1, 2, 1, 4, 1, 1, 1, 1, 1], dtype=np.float32),
        np.zeros(1),
        np.ones(1),
    )
    row = (np.array([[10.0, 20]]), np.array([1]), np.array([[30.0, 40]]), np.array([True]))
    seen = (row[0].astype(np.float32), row[1], row[2].astype(np.float32), row[3])
    features = RewardEnsemble(state, PLANE, RewardModel(inputs=ALL)).features(*seen)
    # (10 20 | 30 40 | 0 1 0 | 0 1) minus (0 ... 8), over the scales; 28 is cut off at 10.
    np.testing.assert_allclose(features, [[10, 9.5, 10, 37 / 4, -4, -4, -6, -7, -7]])
    assert features.dtype == np.float32


def test_a_wild_number_is_cut_off_at_ten_deviations() -> None:
    ensemble = fresh(inputs=("observation",))
    mean, scale = ensemble.state.input_mean, ensemble.state.input_scale
    rest = (np.zeros(2, dtype=np.int64), np.zeros((2, 2), np.float32), np.zeros(2, dtype=bool))
    wild = np.stack([mean + 1e6 * scale, mean - 11 * scale]).astype(np.float32)
    edge = np.stack([mean + WIDEST * scale, mean - WIDEST * scale]).astype(np.float32)
    np.testing.assert_allclose(ensemble(wild, *rest), ensemble(edge, *rest), rtol=1e-4)


def test_a_reward_looks_only_at_its_inputs() -> None:
    ensemble = fresh(inputs=("observation",))
    first, second = batch(5), batch(5, seed=9)
    np.testing.assert_array_equal(ensemble(*first), ensemble(first[0], *second[1:]))
    assert not np.allclose(ensemble(*first), ensemble(second[0], *first[1:]))


@pytest.mark.parametrize("pessimism", [0.0, 0.5, 2.0])
def test_the_reward_is_the_normalised_mean_of_the_members_less_their_disagreement(
    pessimism: float,
) -> None:
    ensemble = fresh()
    mean, scale = np.array([1.0, -1, 3]), np.array([1.0, 2, 0.5])
    state = replace(ensemble.state, member_mean=mean, member_scale=scale, mean=2.0, scale=4.0)
    model = ensemble.model.model_copy(update={"pessimism": pessimism})
    raw = (ensemble.members(*batch(5)) - mean[:, None]) / scale[:, None]
    expected = (raw.mean(axis=0) - pessimism * raw.std(axis=0) - 2) / 4
    reward = replace(ensemble, state=state, model=model)(*batch(5))
    assert reward.dtype == np.float32
    np.testing.assert_allclose(reward, expected, atol=1e-5)


def test_pessimism_takes_reward_away_where_the_members_disagree() -> None:
    # Of an observation (a, b) one member says a + b, the other a - b.
    model = RewardModel(hidden=(), members=2, inputs=("observation",), pessimism=1.0)
    start = initial(model, PLANE, clips(), np.random.default_rng(0))
    weight = np.array([[[1.0], [1.0]], [[1.0], [-1.0]]], dtype=np.float32)
    state = replace(
        start.state,
        parameters={"weight_0": weight, "bias_0": np.zeros((2, 1, 1), dtype=np.float32)},
        input_mean=np.zeros(2, dtype=np.float32),
        input_scale=np.ones(2, dtype=np.float32),
    )
    # At (1, 0) both say 1; at (1, 3) they say 4 and -2: mean 1, deviation 3.
    seen = np.array([[1, 0], [1, 3]], dtype=np.float32)
    rest = (np.zeros(2, dtype=np.int64), seen, np.zeros(2, dtype=bool))
    np.testing.assert_allclose(replace(start, state=state)(seen, *rest), [1, -2])


@pytest.mark.parametrize("pessimism", [0.0, 1.5])
def test_members_are_brought_together_before_they_are_compared(pessimism: float) -> None:
    # Two members that differ by offset and scale alone agree everywhere.
    model = RewardModel(hidden=(), members=2, inputs=("observation",), pessimism=pessimism)
    cut = clips()
    start = initial(model, PLANE, cut, np.random.default_rng(0))
    one = np.array([[1.0], [-2.0]], dtype=np.float32)
    parameters = {
        "weight_0": np.stack([one, 30 * one]),
        "bias_0": np.array([[[0.0]], [[100.0]]], dtype=np.float32),
    }
    same = replace(start, state=replace(start.state, parameters=parameters)).normalised_on(cut)
    alone = replace(
        start,
        model=model.model_copy(update={"members": 1, "pessimism": 0.0}),
        state=replace(
            start.state,
            parameters={name: array[:1] for name, array in parameters.items()},
            member_mean=np.zeros(1),
            member_scale=np.ones(1),
        ),
    ).normalised_on(cut)
    np.testing.assert_allclose(same(*batch(9)), alone(*batch(9)), atol=1e-4)


def test_the_return_of_a_segment_leaves_its_padding_out() -> None:
    ensemble, cut = fresh(), clips()
    rewards = ensemble.members(*transitions(cut)).reshape(3, 6, 4)
    returns = ensemble.segment_returns(cut)
    for segment in range(6):
        real = min(segment + 1, 4)
        np.testing.assert_allclose(
            returns[:, segment], rewards[:, segment, :real].sum(axis=1), rtol=1e-5
        )


def test_transitions_lead_from_each_observation_to_the_next() -> None:
    seen, _, after, _ = transitions(segments([[1, 2], [5, 6]]))
    np.testing.assert_array_equal(seen[:, 0], [1, 2, 5, 6])
    np.testing.assert_array_equal(after[:, 0], [2, 2, 6, 6])


def test_normalised_the_reward_has_mean_0_and_deviation_1_without_padding() -> None:
    cut = clips(count=6, steps=4)
    reward = fresh().normalised_on(cut)(*transitions(cut))[cut.mask.ravel()]
    assert reward.mean() == pytest.approx(0, abs=1e-5)
    assert reward.std() == pytest.approx(1, rel=1e-4)


def test_a_reward_that_never_varies_is_only_shifted() -> None:
    ensemble = fresh()
    same = {name: np.zeros_like(array) for name, array in ensemble.state.parameters.items()}
    flat = replace(ensemble, state=replace(ensemble.state, parameters=same))
    cut = clips()
    np.testing.assert_array_equal(flat.normalised_on(cut)(*transitions(cut)), np.zeros(24))
    assert flat.normalised_on(cut).state.scale == 1.0


def test_fresh_weights_are_drawn_apart_and_within_their_bounds() -> None:
    parameters = fresh(hidden=(50,)).state.parameters
    weight, bias = parameters["weight_0"], parameters["bias_1"]
    assert weight.shape == (3, 9, 50)
    assert bias.shape == (3, 1, 1)
    assert np.abs(weight).max() <= 1 / 3
    assert np.abs(weight).max() > 0.95 / 3
    assert not np.array_equal(weight[0], weight[1])


def test_inputs_are_standardised_on_what_was_not_padded() -> None:
    shown = segments([[1, 3, 99], [5, 7, 9]], mask=[[1, 1, 0], [1, 1, 1]])
    model = RewardModel(hidden=(), members=1, inputs=("observation",))
    state = initial(model, LINE, shown, np.random.default_rng(0)).state
    np.testing.assert_allclose(state.input_mean, [5])
    np.testing.assert_allclose(state.input_scale, [np.sqrt(8)])


def test_inputs_are_brought_to_the_deviation_that_is_wished() -> None:
    shown = clips(50)
    sharp = RewardModel(inputs=ALL, input_deviation=4.0)
    ensemble = initial(sharp, PLANE, shown, np.random.default_rng(0))
    features = ensemble.segment_features(shown)[shown.mask]
    np.testing.assert_allclose(features.std(axis=0), 4, rtol=1e-4)
    # Ten deviations are still ten deviations.
    wild = np.full((1, 2), 1e6, dtype=np.float32)
    far = ensemble.features(wild, np.zeros(1, np.int64), wild, np.zeros(1, bool))
    assert far.max() == 40


def test_a_feature_that_never_moved_keeps_its_scale() -> None:
    shown = segments([[4, 4, 4]])
    model = RewardModel(hidden=(), members=1, inputs=("observation",))
    state = initial(model, LINE, shown, np.random.default_rng(0)).state
    np.testing.assert_array_equal(state.input_scale, [1])


def test_an_ensemble_is_restored_and_not_drawn_again() -> None:
    model = RewardModel(hidden=(5,), members=2)
    first = restore(None, model, PLANE, clips(), np.random.default_rng(0))
    again = restore(first.state, model, PLANE, clips(seed=3), np.random.default_rng(1))
    assert again.state is first.state
    np.testing.assert_array_equal(again(*batch(4)), first(*batch(4)))

"""Rewards of images: convolutions against a loop, channels first and last, one pixel learned."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlhf_core.environments.spaces import Spaces, channel_axis, flat, flattened, is_image
from rlhf_core.labels import Preferences
from rlhf_core.rewards.fitting import fit
from rlhf_core.rewards.model import Input, RewardModel
from rlhf_core.rewards.network import RewardEnsemble, initial, picture_of, transitions
from rlhf_core.stable_baselines.on_policy import Network, make_policy
from rlhf_core.types import Segments
from tests.core.examples import labels, terms

SIZE = (6, 5)
FIRST = Spaces(spaces.Box(0, 255, (2, *SIZE), dtype=np.uint8), spaces.Discrete(2))
LAST = Spaces(spaces.Box(0, 255, (*SIZE, 2), dtype=np.uint8), spaces.Discrete(2))
BOTH = pytest.mark.parametrize("shown", [FIRST, LAST], ids=["channels first", "channels last"])


def clips(shown: Spaces, count: int, seed: int = 0) -> Segments:
    """Noise: pictures that differ in the order of their axes alone, whatever the space."""
    rng = np.random.default_rng(seed)
    seen = rng.integers(256, size=(count, 4, 2, *SIZE)).astype(np.uint8)
    if shown is LAST:
        seen = np.moveaxis(seen, 2, -1)
    return Segments(
        observations=seen,
        actions=rng.integers(2, size=(count, 3)),
        terminated=np.zeros((count, 3), dtype=bool),
        mask=np.ones((count, 3), dtype=bool),
        origin=np.zeros((count, 2), dtype=np.int64),
    )


def ensemble(shown: Spaces, inputs: tuple[Input, ...], **changes: Any) -> RewardEnsemble:
    model = RewardModel(hidden=(8,), channels=(3, 4), members=2, inputs=inputs, **changes)
    return initial(model, shown, clips(shown, 5), np.random.default_rng(0))


def convolved(image: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """3 x 3, stride 2, a frame of zeros, SiLU; pixel by pixel."""
    padded = np.pad(image, ((0, 0), (1, 1), (1, 1)))
    height, width = (-(-side // 2) for side in image.shape[1:])
    out = np.zeros((len(kernel), height, width))
    for row in range(height):
        for line in range(width):
            window = padded[:, 2 * row : 2 * row + 3, 2 * line : 2 * line + 3]
            out[:, row, line] = (kernel * window).sum(axis=(1, 2, 3)) + bias
    return out / (1 + np.exp(-out))


@BOTH
@pytest.mark.parametrize(
    "inputs", [("observation",), ("action", "next_observation", "observation")], ids=str
)
def test_images_are_read_by_convolutions(shown: Spaces, inputs: tuple[Input, ...]) -> None:
    reward = ensemble(shown, inputs)
    seen, done, after, ended = (part[:4] for part in transitions(clips(shown, 3, seed=1)))
    raw = reward.members(seen, done, after, ended)
    found = reward.state.parameters
    order = [name for name in ("observation", "next_observation") if name in inputs]
    pictures = {"observation": seen, "next_observation": after}
    stacked = np.concatenate(
        [np.moveaxis(pictures[name], -1, 1) if shown is LAST else pictures[name] for name in order],
        axis=1,
    )
    for member in range(2):
        for row, picture in enumerate(stacked / 255):
            hidden = picture
            for layer in range(2):
                hidden = convolved(
                    hidden, found[f"conv_{layer}"][member], found[f"conv_bias_{layer}"][member]
                )
            features = hidden.ravel()
            if "action" in inputs:
                one_hot = np.eye(2)[done[row]] - reward.state.input_mean[-2:]
                features = np.append(features, one_hot / reward.state.input_scale[-2:])
            middle = features @ found["weight_0"][member] + found["bias_0"][member, 0]
            middle = middle / (1 + np.exp(-middle))
            expected = middle @ found["weight_1"][member] + found["bias_1"][member, 0]
            assert raw[member, row] == pytest.approx(expected[0], abs=1e-4)


def test_the_order_of_the_axes_makes_no_difference() -> None:
    first, last = (ensemble(shown, ("observation", "action")) for shown in (FIRST, LAST))
    same = replace(last, state=first.state)
    np.testing.assert_allclose(
        first(*transitions(clips(FIRST, 4))), same(*transitions(clips(LAST, 4))), atol=1e-5
    )


@pytest.mark.parametrize(
    ("shape", "axis"), [((3, 64, 64), 0), ((64, 64, 3), 2), ((84, 84, 4), 2), ((5, 5, 5), 2)]
)
def test_channels_are_the_shorter_axis(shape: tuple[int, ...], axis: int) -> None:
    assert channel_axis(spaces.Box(0, 255, shape, dtype=np.uint8)) == axis


@pytest.mark.parametrize(
    ("space", "image"),
    [
        (FIRST.observation, True),
        (spaces.Box(0, 255, (6, 5), dtype=np.uint8), False),
        (spaces.Box(0, 1, (6, 5, 3)), False),
        (spaces.Discrete(3), False),
    ],
    ids=str,
)
def test_an_image_is_bytes_with_three_axes(space: spaces.Space[Any], image: bool) -> None:
    assert is_image(space) == image
    assert (flat(space).shape == (60,)) == image
    assert (flat(space) is space) != image


def test_without_channels_or_images_nothing_is_convolved() -> None:
    assert picture_of(FIRST, RewardModel(inputs=("observation",))) == (2, *SIZE)
    assert picture_of(LAST, RewardModel(inputs=("next_observation",))) == (2, *SIZE)
    both: tuple[Input, ...] = ("observation", "next_observation")
    assert picture_of(LAST, RewardModel(inputs=both)) == (4, *SIZE)
    assert picture_of(FIRST, RewardModel(inputs=("action",))) is None
    assert picture_of(FIRST, RewardModel(channels=())) is None
    line = Spaces(spaces.Box(-1, 1, (3,)), spaces.Discrete(2))
    assert picture_of(line, RewardModel()) is None


def test_pixels_without_convolutions_are_shares_of_brightness_standardised() -> None:
    model = RewardModel(hidden=(), channels=(), members=1, inputs=("observation",))
    shown = clips(FIRST, 20)
    reward = initial(model, FIRST, shown, np.random.default_rng(0))
    features = reward.features(*transitions(shown))
    assert features.shape == (60, 60)
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(features.std(axis=0), 1, rtol=1e-4)


@BOTH
def test_a_reward_that_hangs_on_one_pixel_is_learned(shown: Spaces) -> None:
    # One pixel of channel 1 is either dark or bright and pays or not; the rest is noise.
    def world(pairs: int, seed: int) -> tuple[Segments, np.ndarray]:
        cut = clips(shown, 2 * pairs, seed)
        bright = np.random.default_rng(seed).integers(2, size=(2 * pairs, 4))
        seen = cut.observations.copy()
        # Channel 1, row 1, column 1.
        place = (..., 1, 1, 1)
        seen[place] = 255 * bright
        return replace(cut, observations=seen), bright[:, :-1].sum(axis=1).astype(float)

    cut, returns = world(300, 0)
    pair = np.arange(600).reshape(-1, 2)
    target = 0.5 + 0.5 * np.sign(returns[1::2] - returns[::2])
    model = RewardModel(
        hidden=(16,), channels=(8, 8), members=1, inputs=("observation",), learning_rate=3e-3,
        epochs=30,
    )  # fmt: skip
    start = initial(model, shown, cut, np.random.default_rng(0))
    said = labels(Preferences(pair, target, np.ones(300)))
    learned, metrics = fit(start, cut, terms(said, cut), cut, np.random.default_rng(0))
    fresh, truth = world(300, 1)
    predicted = learned.segment_returns(fresh)[0]
    strict = truth[1::2] != truth[::2]
    right = (predicted[1::2] > predicted[::2]) == (truth[1::2] > truth[::2])
    assert right[strict].mean() > 0.9
    assert metrics["reward/heldout_accuracy"] > 0.85


@BOTH
def test_a_policy_reads_shares_of_brightness(shown: Spaces) -> None:
    policy = make_policy(shown, Network((4,)), 1e-3)
    white = np.full((1, *(shown.observation.shape or ())), 255, dtype=np.uint8)
    tensor, _ = policy.obs_to_tensor(flattened(shown.observation, white))
    features = policy.extract_features(tensor)
    assert isinstance(features, torch.Tensor)
    assert features.max().item() == pytest.approx(1)

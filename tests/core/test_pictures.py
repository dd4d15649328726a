"""Films are GIFs of the right frames, plots are PNGs; what cannot be drawn is not."""

import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageSequence

from rlhf_core.acting import Act
from rlhf_core.environments import Environment
from rlhf_core.environments.factory import episode_seeds
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.plots import (
    learning_curve,
    proxy_and_true,
    reward_against_truth,
    reward_quality,
)
from rlhf_core.evaluation.video import CAPTION, CLIP_WIDTH, MARGIN, WIDTH, film, film_questions
from rlhf_core.rollouts import collect
from rlhf_core.segments import sample_segments
from tests.core.examples import HERE


def still(environment: Environment) -> Act:
    action = environment.spaces().action
    return lambda observations: np.zeros((len(observations), *(action.shape or ())), action.dtype)


def frames(picture: bytes | None) -> list[Image.Image]:
    assert picture is not None
    assert picture.startswith(b"GIF8")
    return [frame.convert("RGB") for frame in ImageSequence.Iterator(Image.open(BytesIO(picture)))]


def brightness(image: Image.Image) -> float:
    return float(np.asarray(image).mean())


def test_a_film_shows_one_episode_from_beginning_to_end() -> None:
    environment = Environment(id=f"{HERE}:Picture-v0")
    seen = frames(film(environment, still(environment), seed=0, every=1))
    # Six steps; the picture before step t is grey of brightness 40 t.
    assert [round(brightness(frame) / 40) for frame in seen] == list(range(6))
    assert seen[0].size == (WIDTH, WIDTH * 20 // 30)


def test_a_film_skips_frames_and_keeps_the_pace() -> None:
    environment = Environment(id=f"{HERE}:Picture-v0")
    picture = film(environment, still(environment), seed=0, every=2)
    assert [round(brightness(frame) / 40) for frame in frames(picture)] == [0, 2, 4]
    assert picture is not None
    # Four steps a second, every other one shown: half a second a frame.
    assert Image.open(BytesIO(picture)).info["duration"] == 500


def test_a_film_is_no_longer_than_asked() -> None:
    environment = Environment(id=f"{HERE}:Picture-v0")
    assert len(frames(film(environment, still(environment), seed=0, steps=3, every=1))) == 3


@pytest.mark.parametrize("id", ["CartPole-v1", "Pendulum-v1"])
def test_the_classic_environments_are_filmed(id: str) -> None:
    environment = Environment(id=id)
    before = dict(os.environ)
    seen = frames(film(environment, still(environment), seed=0, steps=8))
    assert 1 < len(seen) <= 4  # frames that are equal are shown once, and longer
    assert np.asarray(seen[0]).std() > 1
    assert not np.array_equal(np.asarray(seen[0]), np.asarray(seen[-1]))
    assert dict(os.environ) == before


def test_an_environment_that_cannot_draw_itself_gives_no_film() -> None:
    environment = Environment(id=f"{HERE}:Corridor-v0")
    with pytest.raises(ConfigurationError, match=r"Corridor-v0' has no render mode rgb_array"):
        film(environment, still(environment), seed=0)


def test_a_robot_without_a_screen_does_not_end_the_process() -> None:
    """Drawn, or refused where the machine has no means to draw; the second attempt as the first."""
    pytest.importorskip("mujoco")
    code = """
import numpy as np
from rlhf_core.environments import Environment
from rlhf_core.errors import ConfigurationError
from rlhf_core.evaluation.video import film
for _ in range(2):
    try:
        film(Environment(id="InvertedPendulum-v5"), lambda _: np.zeros((1, 1)), 0, steps=4)
    except ConfigurationError as error:
        print("refused", error)
print("alive")
"""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL")
    variables = {name: value for name, value in os.environ.items() if name not in screens}
    ended = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout.splitlines()[-1:]) == (0, ["alive"]), ended.stderr


def test_a_policy_is_filmed_on_what_it_sees() -> None:
    environment = Environment(id="CartPole-v1", fixed_horizon=6)
    seen: list[tuple[int, ...]] = []

    def act(observations: np.ndarray) -> np.ndarray:
        seen.append(observations.shape)
        return np.zeros(1, dtype=np.int64)

    assert len(frames(film(environment, act, seed=0, steps=50))) > 1
    assert seen == [(1, 5)] * 6


def png(picture: bytes) -> np.ndarray:
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(Image.open(BytesIO(picture)).convert("L"))


def test_a_learning_curve_is_a_png_that_shows_its_data() -> None:
    rising = png(learning_curve([0, 10], [0.0, 1.0], [0, 5], "title"))
    falling = png(learning_curve([0, 10], [1.0, 0.0], [0, 5], "title"))
    assert rising.shape == falling.shape
    assert not np.array_equal(rising, falling)


def test_a_learning_curve_of_one_round_can_be_drawn() -> None:
    assert png(learning_curve([10], [1.0], [5], "one round")).std() > 0


def test_a_learning_curve_is_drawn_beside_what_it_is_compared_with() -> None:
    alone = png(learning_curve([0, 10], [0.0, 1.0], [0, 5], "title"))
    nothing = png(learning_curve([0, 10], [0.0, 1.0], [0, 5], "title", {"before": None}))
    beside = png(learning_curve([0, 10], [0.0, 1.0], [0, 5], "title", {"before": 0.5}))
    np.testing.assert_array_equal(alone, nothing)
    assert not np.array_equal(alone, beside)


def test_questions_are_filmed_side_by_side_with_their_answers() -> None:
    environment = Environment(id="Pendulum-v1", count=2)
    rng = np.random.default_rng(0)
    vector = environment.make_vector()
    try:
        rollouts, _ = collect(vector, still(environment), 60, episode_seeds(rng, 2))
    finally:
        vector.close()
    clips = sample_segments(rollouts, 3, 8, rng, replayable=True)
    pictures = frames(film_questions(environment, clips, [([0, 1], "left"), ([2], "0.5")]))
    assert 1 < len(pictures) <= 9
    # Two rows of square frames with a line of text under each, as wide as two clips.
    assert pictures[0].size == (2 * (CLIP_WIDTH + MARGIN), 2 * (CLIP_WIDTH + CAPTION))
    assert not np.array_equal(np.asarray(pictures[0]), np.asarray(pictures[-1]))
    unknown = replace(clips, replays=None)
    with pytest.raises(ConfigurationError, match="clips of 'Pendulum-v1' cannot be replayed"):
        film_questions(environment, unknown, [([0, 1], "left")])


def test_rewards_are_drawn_against_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=50)
    agreed = png(reward_against_truth(truth, truth, "agreed"))
    opposed = png(reward_against_truth(-truth, truth, "agreed"))
    assert not np.array_equal(agreed, opposed)


def test_the_proxy_is_the_sum_of_its_gains() -> None:
    # Gains of 1, 0, 1 are the line 1, 1, 2; the same line with another scale and offset is equal.
    drawn = png(proxy_and_true([1, 2, 3], [1.0, 0.0, 1.0], [0.0, 5.0, 5.0], [False] * 3))
    scaled = png(proxy_and_true([1, 2, 3], [9.0, 0.0, 3.0], [-3.0, 2.0, 2.0], [False] * 3))
    other = png(proxy_and_true([1, 2, 3], [1.0, 1.0, 0.0], [0.0, 5.0, 5.0], [False] * 3))
    np.testing.assert_array_equal(drawn, scaled)
    assert not np.array_equal(drawn, other)


def test_an_alarm_is_drawn_and_one_round_can_be() -> None:
    calm, alarmed = (
        png(proxy_and_true([1, 2], [1.0, 1.0], [1.0, 2.0], [False, alarm]))
        for alarm in (False, True)
    )
    assert not np.array_equal(calm, alarmed)
    assert png(proxy_and_true([10], [0.0], [1.0], [False])).std() > 0


def test_the_quality_of_a_reward_is_drawn_where_it_was_measured() -> None:
    first = {"policy/steps": 1.0, "reward/heldout_accuracy": 0.6, "proxy/true_correlation": 0.1}
    later = {"policy/steps": 2.0, "reward/heldout_accuracy": 0.8}
    known = png(reward_quality([first, later]))
    more = png(reward_quality([first, {**later, "reward/fresh_accuracy": 0.7}]))
    assert not np.array_equal(known, more)


@pytest.mark.filterwarnings("error")
def test_a_reward_of_which_one_side_was_never_measured_can_be_drawn() -> None:
    assert png(reward_quality([{"policy/steps": 1.0, "reward/heldout_accuracy": 0.6}])).std() > 0

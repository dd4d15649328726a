"""Clips that people see: frames, pace, padding, the environment's own views, and the cache."""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rlhf_core.errors import ConfigurationError
from rlhf_core.labelling.clips import (
    Cache,
    Grid,
    Item,
    Slate,
    Text,
    describe,
    register_view,
    render,
    unregister_view,
)
from rlhf_core.labelling.clips.markup import plain_html
from rlhf_core.labelling.clips.plot import strips, svg
from rlhf_core.labelling.clips.sheet import (
    FRAMES,
    PIXELS,
    columns,
    faded,
    frame_width,
    images,
    sheet,
    thinning,
)
from rlhf_core.types import Segments
from tests.labelling.clip_examples import clips_of, experiment_in

PICTURE: dict[str, Any] = {"id": "tests.core.environments:Picture-v0"}
"""Draws itself in grey, 40 brighter at each step, 30 x 20 pixels, 4 frames a second."""
DRIFT: dict[str, Any] = {"id": "tests.core.environments:Drift-v0"}
CORRIDOR: dict[str, Any] = {"id": "tests.core.environments:Corridor-v0"}


def frames_of(content: bytes, count: int, across: int) -> list[np.ndarray]:
    """The frames of a sheet."""
    picture = np.asarray(Image.open(BytesIO(content)).convert("RGB"))
    down = -(-count // across)
    height, width = picture.shape[0] // down, picture.shape[1] // across
    assert picture.shape[:2] == (down * height, across * width)
    return [
        picture[
            at // across * height : (at // across + 1) * height,
            at % across * width : (at % across + 1) * width,
        ]
        for at in range(count)
    ]


def test_a_film_has_a_frame_for_every_observation_at_the_environments_own_pace() -> None:
    experiment = experiment_in(PICTURE, steps=3)
    segments = clips_of(experiment, 8, 3)
    for index in range(len(segments)):
        media, known = render(experiment, segments, index), describe(experiment, segments, index)
        assert (media.view, media.content_type) == ("film", "image/webp")
        assert (media.frames, media.rate, media.seconds, media.columns) == (4, 4.0, 1.0, 2)
        assert (known.frames, known.rate, known.seconds, known.columns) == (4, 4.0, 1.0, 2)
        assert media.alt == known.alt == f"Film of {PICTURE['id']}, 1.0 seconds."
        first = int(segments.origin[index, 1])
        frames = frames_of(media.content, 4, 2)
        assert frames[0].shape[:2] == (213, 320)
        # Lossy, but not by as much as a step brightens.
        levels = [float(frame.mean()) for frame in frames]
        assert levels == pytest.approx([40.0 * (first + row) for row in range(4)], abs=3)


def test_a_padded_film_repeats_its_last_frame_in_grey_and_says_when_the_episode_ends() -> None:
    experiment = experiment_in({**PICTURE, "time_limit": 2}, steps=2)
    segments = clips_of(experiment, 2, 4)
    assert segments.mask[0].tolist() == [True, True, False, False]
    media = render(experiment, segments, 0)
    levels = [float(frame.mean()) for frame in frames_of(media.content, 5, 3)]
    over = 80 * 0.45 + 128 * 0.55
    assert levels == pytest.approx([0, 40, 80, over, over], abs=3)
    assert media.alt.endswith("1.2 seconds; the episode ends after 0.5 seconds.")


def test_a_film_of_recorded_frames_needs_no_replay() -> None:
    experiment = experiment_in({**PICTURE, "frames": 30}, steps=3)
    segments = clips_of(experiment, 2, 3)
    assert segments.replays is not None
    assert segments.replays.frames is not None
    media = render(experiment, segments, 1)
    level = float(frames_of(media.content, 4, 2)[0].mean())
    assert level == pytest.approx(40.0 * segments.origin[1, 1], abs=3)


def test_clips_that_cannot_be_replayed_are_plotted() -> None:
    experiment = experiment_in(PICTURE, steps=3)
    segments = replace(clips_of(experiment, 2, 3), replays=None)
    assert describe(experiment, segments, 0).view == "plot"
    assert render(experiment, segments, 0).content_type == "image/svg+xml"


def test_the_real_pendulum_moves_at_its_own_pace_and_takes_few_bytes() -> None:
    experiment = experiment_in({"id": "Pendulum-v1"})
    segments = clips_of(experiment, 2, 25)
    media = render(experiment, segments, 0)
    assert (media.frames, media.rate) == (26, 30.0)
    assert media.seconds == pytest.approx(26 / 30)
    frames = frames_of(media.content, 26, 6)
    assert frames[0].shape == (320, 320, 3)
    assert np.abs(frames[0].astype(int) - frames[25].astype(int)).mean() > 1
    assert len(media.content) < 60_000


@pytest.mark.parametrize(
    ("frames", "across"), [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (10, 4), (26, 6), (51, 8)]
)
def test_a_sheet_is_the_least_square_that_holds_its_frames(frames: int, across: int) -> None:
    assert columns(frames) == across


@pytest.mark.parametrize("frames", [1, 26, 117, 400, FRAMES])
def test_a_sheet_is_small_enough_for_a_telephone(frames: int) -> None:
    assert (columns(frames) * frame_width(frames)) ** 2 <= PIXELS
    assert frame_width(frames) >= 100


def test_very_long_clips_leave_frames_out() -> None:
    assert [thinning(rows) for rows in (2, FRAMES, FRAMES + 1, 3 * FRAMES)] == [1, 1, 2, 3]


def test_frames_stand_row_by_row() -> None:
    shown = np.stack([np.full((16, 16, 3), 50 * at, dtype=np.uint8) for at in range(5)])
    levels = [float(frame.mean()) for frame in frames_of(sheet(shown), 5, 3)]
    assert levels == pytest.approx([0, 50, 100, 150, 200], abs=3)


def test_only_frames_after_the_end_fade() -> None:
    shown = faded(np.full((3, 1, 1, 3), 255, dtype=np.uint8), 1)
    assert shown[:, 0, 0, 0].tolist() == [255, 255, 185]


@pytest.mark.parametrize("last", [True, False])
def test_observations_that_are_pictures_are_the_film(last: bool) -> None:
    picture = np.zeros((2, 4, 8, 1), dtype=np.uint8)
    picture[1] = 200
    frames = images(picture if last else picture.transpose(0, 3, 1, 2), 16)
    assert frames.shape == (2, 8, 16, 3)
    assert frames[:, 0, 0, 0].tolist() == [0, 200]


def test_an_environment_that_does_not_draw_itself_is_plotted() -> None:
    experiment = experiment_in(DRIFT, steps=5)
    segments = clips_of(experiment, 3, 5)
    media = render(experiment, segments, 1)
    assert (media.view, media.content_type) == ("plot", "image/svg+xml")
    assert (media.frames, media.rate, media.seconds) == (6, 10.0, 0.6)
    first, last = segments.observations[1, [0, -1], 0]
    assert f"observation from {first:.3g} to {last:.3g}" in media.alt
    text = media.content.decode()
    assert text.count('class="curve"') == 1
    assert text.count('class="action"') == 1
    assert 'class="playhead"' in text
    assert 'class="after"' not in text
    assert "currentColor" in text
    assert "style" not in text, "refused by the page's content security policy"


def test_a_plotted_line_goes_through_the_values() -> None:
    values = np.array([[0.0], [5.0], [10.0]])
    curves = strips(values, np.empty((2, 0)), np.array([values, values * 2]), np.empty((2, 2, 0)))
    assert [(curve.name, curve.low, curve.high) for curve in curves] == [("observation", 0, 20)]
    drawn = svg(curves, 3, 2, "a <plot>")
    # Margins: 44 to the left, 8 to the right of 320; the strip is 46 high below 10.
    assert 'd="M44 56L178 44.5L312 33"' in drawn
    assert "<title>a &lt;plot&gt;</title>" in drawn


def test_a_plot_leaves_gaps_where_a_value_is_no_number_and_marks_the_end() -> None:
    values = np.array([[0.0], [np.nan], [10.0]])
    curves = strips(values, np.empty((2, 0)), values[None], np.empty((1, 2, 0)))
    drawn = svg(curves, 5, 2, "")
    assert 'd="M44 56M178 10"' in drawn
    assert 'class="after" x="178" y="10" width="134"' in drawn


def test_values_that_never_change_lie_in_the_middle() -> None:
    values = np.full((3, 1), 7.0)
    (curve,) = strips(values, np.empty((2, 0)), values[None], np.empty((1, 2, 0)))
    assert (curve.low, curve.high) == (6.5, 7.5)


@pytest.fixture
def corridor() -> Iterator[tuple[Any, Segments]]:
    experiment = experiment_in(CORRIDOR, steps=4)
    yield experiment, clips_of(experiment, 60, 8, 300)
    unregister_view(CORRIDOR["id"])


def test_a_registered_function_is_given_the_clip_without_its_padding(corridor: Any) -> None:
    experiment, segments = corridor
    padded = int(np.flatnonzero(~segments.mask.all(axis=1))[0])
    steps = int(segments.mask[padded].sum())
    given: list[tuple[int, int]] = []

    def view(observations: np.ndarray, actions: np.ndarray) -> Text:
        given.append((len(observations), len(actions)))
        return Text("walks to <b>3</b>\nand rests")

    register_view(CORRIDOR["id"], view)
    media = render(experiment, segments, padded)
    assert set(given) == {(steps + 1, steps)}
    assert (media.view, media.content_type, media.frames) == ("text", "application/json", 1)
    assert json.loads(media.content) == {"text": "walks to <b>3</b>\nand rests"}


def test_a_grid_plays_and_a_slate_stands_still(corridor: Any) -> None:
    experiment, segments = corridor
    register_view(
        CORRIDOR["id"],
        lambda observations, _: Grid([[[str(o[0]), "."]] for o in observations], {".": "floor"}),
    )
    moments = int(segments.mask[0].sum()) + 1
    media = render(experiment, segments, 0)
    assert (media.view, media.frames, media.rate) == ("grid", moments, 10.0)
    assert json.loads(media.content)["legend"] == {".": "floor"}
    assert len(json.loads(media.content)["frames"]) == moments
    register_view(CORRIDOR["id"], lambda _, __: Slate([Item("Tea", "green", chosen=True)]))
    media = render(experiment, segments, 0)
    assert (media.view, media.rate, media.seconds) == ("slate", 0.0, 0.0)
    expected = [{"title": "Tea", "detail": "green", "chosen": True}]
    assert json.loads(media.content) == {"items": expected}


def test_none_leaves_the_clip_to_the_plot(corridor: Any) -> None:
    experiment, segments = corridor
    register_view(CORRIDOR["id"], lambda _, __: None)
    assert render(experiment, segments, 0).view == "plot"


def test_an_environment_shows_itself_with_a_method_of_its_own() -> None:
    experiment = experiment_in({"id": "tests.labelling.environments:Talker-v0"}, steps=3)
    segments = clips_of(experiment, 2, 3, 20)
    words = " ".join("hello" if action else "bye" for action in segments.actions[0])
    media = render(experiment, segments, 0)
    assert json.loads(media.content) == {"html": f"<p>{words}</p>"}


def test_a_view_of_a_wrong_type_or_one_that_fails_is_named(corridor: Any) -> None:
    experiment, segments = corridor
    register_view(CORRIDOR["id"], lambda _, __: "text")  # type: ignore[arg-type, return-value]
    with pytest.raises(ConfigurationError, match=r"expected a Text, Html, .*, actual: str"):
        describe(experiment, segments, 0)
    register_view(CORRIDOR["id"], lambda _, __: Text(str(1 // 0)))
    with pytest.raises(ConfigurationError, match=r"clip_view of '.*Corridor-v0' fails: .*zero"):
        describe(experiment, segments, 0)


@pytest.mark.parametrize(
    ("html", "plain"),
    [
        ("<p class='x' onclick='steal()'>a<br>b</p>", "<p>a<br>b</p>"),
        ("<script>alert(1)</script>after", "after"),
        ("<img src=x onerror=alert(1)>text", "text"),
        ("<a href='javascript:x'>link</a>", "link"),
        ("1 < 2 &amp; &lt;script&gt;", "1 &lt; 2 &amp; &lt;script&gt;"),
        ("<ul><li>one<li>two", "<ul><li>one<li>two</li></li></ul>"),
        ("<p><b>x</p>y", "<p><b>x</b></p>y"),
        ("</p>x</script>", "x"),
        ("<svg><script>x</script><p>y</p></svg>z", "z"),
        ("<style><p>x</p></style>", ""),
    ],
)
def test_html_keeps_plain_elements_only(html: str, plain: str) -> None:
    assert plain_html(html) == plain


KEYS = [f"{number:032x}" for number in range(5)]


def test_a_cache_drops_what_was_used_least_recently(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "clips", limit=30)
    for age, key in enumerate(KEYS[:3]):
        cache.put(key, bytes([age]) * 10)
        os.utime(tmp_path / "clips" / key, (100 + age, 100 + age))
    assert cache.size == 30
    assert cache.get(KEYS[0]) == b"\0" * 10
    cache.put(KEYS[3], b"x" * 10)
    held = [cache.get(key) is not None for key in KEYS]
    assert held == [True, False, True, True, False]
    assert cache.size == 30


def test_a_cache_keeps_nothing_larger_than_its_limit_and_makes_no_room_for_it(
    tmp_path: Path,
) -> None:
    cache = Cache(tmp_path, limit=10)
    cache.put(KEYS[0], b"x" * 10)
    cache.put(KEYS[1], b"x" * 11)
    assert cache.get(KEYS[0]) == b"x" * 10
    assert cache.get(KEYS[1]) is None


@pytest.mark.parametrize("key", ["../../etc/passwd", "A" * 32, "", "a" * 15, "a" * 32 + "/x"])
def test_a_key_cannot_leave_the_folder(tmp_path: Path, key: str) -> None:
    cache = Cache(tmp_path, limit=10)
    for call in (lambda: cache.get(key), lambda: cache.put(key, b"x")):
        with pytest.raises(ConfigurationError, match="hexadecimal digits"):
            call()


def test_a_killed_write_leaves_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path, limit=100)
    cache.put(KEYS[0], b"whole")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            cache.put(KEYS[0], b"other")
    assert cache.get(KEYS[0]) == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == [KEYS[0]]


def test_leftovers_of_a_killed_process_are_swept_once_they_are_old(tmp_path: Path) -> None:
    for name, age in (("old.tmp", 0), ("new.tmp", None)):
        (tmp_path / name).write_bytes(b"x")
        if age is not None:
            os.utime(tmp_path / name, (age, age))
    assert Cache(tmp_path, limit=10).size == 0
    assert [path.name for path in tmp_path.iterdir()] == ["new.tmp"]


def test_a_limit_below_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=re.escape("limit: expected at least 1 byte")):
        Cache(tmp_path, limit=0)

"""Clips: drawn once, early, on threads; cached; told when they are lost."""

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import pytest

from rlhf_core.errors import ConfigurationError
from rlhf_core.labelling.clips import Cache, ClipView, Media, render
from rlhf_core.labelling.server.clips import Clip, Clips, LostClipError
from rlhf_core.labelling.server.drawing import LATER, NOW, DrawingPool
from rlhf_core.labelling.store import Batch
from rlhf_core.questions import Request
from rlhf_core.store import Store
from tests.labelling.clip_examples import clips_of, experiment_in, request_of
from tests.labelling.server.conftest import Site, answer_to, items

SECONDS = 20.0


class Counting:
    """Clips that say their number, and how often they were drawn."""

    def __init__(self) -> None:
        self.drawn: list[int] = []
        self.fails = False

    def describe(self, experiment: str, request: Request, index: int) -> ClipView:
        return ClipView("text", 1, 0.0, 0.0, f"Clip {index}")

    def render(self, experiment: str, request: Request, index: int) -> Media:
        self.drawn.append(index)
        if self.fails:
            raise ConfigurationError("the environment fails")
        return Media("text", "application/json", f"{index}\n".encode(), 0.0, 1, 0.0, "")


@pytest.fixture
def source() -> Counting:
    return Counting()


@pytest.fixture
def batch(tmp_path: Any) -> Batch:
    segments = clips_of(experiment_in({"id": "Pendulum-v1"}, 3), 4, 3)
    artifacts = Store(f"{tmp_path}/artifacts").create()
    ref = artifacts.put(request_of(segments, {"comparison": 2}))
    return Batch(1, 1, 0, 0, artifacts.root, ref, 0.0, None)


def clips_in(tmp_path: Any, source: Counting) -> Clips:
    return Clips(source, Cache(tmp_path / "cache", 10**6), threads=2)


def test_a_clip_is_drawn_once_and_outlives_its_run(
    tmp_path: Any, source: Counting, batch: Batch
) -> None:
    clips = clips_in(tmp_path, source)
    one = Clip("x", batch, 1)
    drawn = [clips.drawn(one) for _ in range(20)]
    assert {future.result(SECONDS).content for future in drawn} == {b"1\n"}
    assert source.drawn == [1]
    clips.close()
    # Another process with the same cache, after the run was deleted.
    shutil.rmtree(tmp_path / "artifacts")
    later = clips_in(tmp_path, source)
    again = later.drawn(one).result(SECONDS)
    assert (again.content_type, again.content) == ("application/json", b"1\n")
    assert source.drawn == [1]
    with pytest.raises(LostClipError):
        later.drawn(Clip("x", batch, 2)).result(SECONDS)
    assert later.view(Clip("x", batch, 2)).alt == "This clip is no longer there."
    later.close()


def test_keys_tell_clips_runs_and_requests_apart(batch: Batch) -> None:
    clips = [
        Clip("x", batch, 1), Clip("x", batch, 2), Clip("y", batch, 1),
        Clip("x", Batch(1, 1, 0, 0, batch.artifacts, "0" * 64, 0.0, None), 1),
    ]  # fmt: skip
    assert len({one.key for one in clips}) == 4
    moved = Batch(7, 2, 3, 1, "elsewhere", batch.ref, 5.0, None)
    assert Clip("x", moved, 1).key == clips[0].key


def test_a_failure_is_told_and_not_cached(tmp_path: Any, source: Counting, batch: Batch) -> None:
    clips = clips_in(tmp_path, source)
    source.fails = True
    with pytest.raises(ConfigurationError, match="the environment fails"):
        clips.drawn(Clip("x", batch, 0)).result(SECONDS)
    source.fails = False
    assert clips.drawn(Clip("x", batch, 0)).result(SECONDS).content == b"0\n"
    clips.close()


def test_who_waits_goes_first_and_later_ones_are_limited() -> None:
    pool: DrawingPool[int] = DrawingPool(threads=1, longest=4)
    hold, order = threading.Event(), []

    def job(number: int) -> Callable[[], int]:
        def draw() -> int:
            hold.wait(SECONDS)
            order.append(number)
            return number

        return draw

    first = pool.draw("0", job(0), NOW)
    time.sleep(0.05)
    later = [pool.draw(str(n), job(n), LATER) for n in (1, 2, 3)]
    assert pool.draw("4", job(4), LATER).cancelled(), "four wait already"
    urgent = pool.draw("5", job(5), NOW)
    same = pool.draw("3", job(33), NOW)
    assert same is later[2]
    hold.set()
    assert [one.result(SECONDS) for one in (first, *later, urgent)] == [0, 1, 2, 3, 5]
    assert order == [0, 5, 3, 1, 2]
    pool.close()
    with pytest.raises(CancelledError):
        pool.draw("6", job(6), NOW).result(SECONDS)


def test_threads_do_not_mix_their_pictures() -> None:
    names = ("Pendulum-v1", "CartPole-v1", "Acrobot-v1")
    experiments = [experiment_in({"id": name}, 10) for name in names]
    segments = [clips_of(one, 2, 10) for one in experiments]

    def draw(job: tuple[int, int]) -> bytes:
        return render(experiments[job[0]], segments[job[0]], job[1]).content

    jobs = [(number, index) for number in range(3) for index in range(2)]
    alone = {job: draw(job) for job in jobs}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(draw, jobs * 6))
    assert together == [alone[job] for job in jobs * 6]


def test_clips_are_drawn_when_they_are_leased_and_sent_once(site: Site) -> None:
    client = site.annotator()
    (item,) = items(client, 1)
    cache = site.folder / "clips"
    end = time.monotonic() + SECONDS
    while len(list(cache.iterdir())) < 2:
        assert time.monotonic() < end, "the clips of a leased item are drawn before they are asked"
        time.sleep(0.02)
    clip = item["clips"][0]
    assert clip["url"] == f"/clips/{item['assignment']}/0"
    response = client.get(clip["url"])
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/webp"
    assert response.content[8:12] == b"WEBP"
    assert response.headers["cache-control"] == "private, max-age=86400, immutable"
    tag = response.headers["etag"]
    again = client.get(clip["url"], headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    other = client.get(clip["url"], headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.content) == (200, response.content)
    assert client.get(item["clips"][1]["url"]).headers["etag"] != tag


def test_lost_clips_are_gone_with_a_sentence_and_the_item_can_be_skipped(site_of: Any) -> None:
    site = site_of({"comparison": 2})
    shutil.rmtree(site.folder / "artifacts")
    client = site.annotator()
    (item,) = items(client, 1)
    assert item["clips"][0]["alt"] == "This clip is no longer there."
    response = client.get(item["clips"][0]["url"])
    assert response.status_code == 410
    assert response.json() == {"error": "This clip is no longer there: its run was deleted."}
    skipped = client.post("/api/answers", json=answer_to(item, answer={"choice": "skip"}))
    assert skipped.status_code == 201
    labels = site.owner().get("/api/owner/campaigns/1/labels.jsonl")
    assert labels.status_code in (410, 422)

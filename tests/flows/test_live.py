"""Where runs stand, as it is written down while they are played, and how the command shows it."""

import json
import time
from pathlib import Path

import pytest
from rich.console import Console

from flows.command import board
from tasks import live, progress
from tasks.home import Home
from tasks.live import FAILED, FINISHED, REUSED, RUNNING, WAITING, Live, LiveRun
from tasks.progress import CellEnded, InCell, Opened, Planned, PlannedRun, RoundDone, Stage, Steps
from tests.flows.conftest import Command, run_ids

SUMMARY = {"run_id": "reused", "env_steps": 900, "labels": 9, "true_return_iqm": -3.0}
PLAN = Planned(
    [
        PlannedRun("task/a", 0, 2, 1000, SUMMARY),
        PlannedRun("task/a", 1, 2, 1000),
        PlannedRun("task/b", 0, 2, 1000),
    ],
    workers=2,
)


def state() -> Live:
    return live.of_comparison("name", "run", PLAN)


def shown(state: Live) -> str:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(board.render(state))
    return captured.get()


def test_events_say_where_a_run_stands() -> None:
    run = LiveRun("task/a", 1, 2, 1000)
    for event in (
        Opened("id", False), Stage("id", "optimise", 0), Steps("id", 300), Steps("id", 100),
        RoundDone("id", 0, 500, 5, -4.0), Stage("id", "fit", 1), Steps("id", 50),
    ):  # fmt: skip
        run.receive(event)
    assert (run.run_id, run.state, run.stage, run.round) == ("id", RUNNING, "fit", 1)
    assert (run.steps, run.labels, run.true_return) == (550, 5, -4.0)
    # A run that goes on reports the rounds again that it finds done.
    run.receive(RoundDone("id", 0, 500, 5, -4.0))
    run.receive(RoundDone("id", 1, 1000, 9, -2.0))
    assert run.curve == [(500, 5, -4.0), (1000, 9, -2.0)]
    run.receive(CellEnded({}, None))
    assert run.state == FINISHED


def test_a_comparison_begins_with_what_is_known_of_it() -> None:
    known, waiting, _ = state().runs
    assert (known.state, known.true_return, known.labels) == (REUSED, -3.0, 9)
    assert waiting.state == WAITING
    text = shown(state())
    assert "1 of 3 runs" in text
    assert "1/2" in text


def test_the_time_left_is_that_of_the_runs_so_far() -> None:
    comparison = state()
    assert comparison.seconds_left() is None
    first, second = comparison.runs[1:]
    now = time.time()
    first.state, first.began, first.ended = FINISHED, now - 10, now
    assert comparison.seconds_left() == pytest.approx(10, abs=0.1)
    second.state, second.began, second.steps = RUNNING, now - 5, 500
    # Ten seconds for each, of which five have passed.
    assert comparison.seconds_left() == pytest.approx(5, abs=0.1)


def test_what_is_written_down_is_read_again_with_its_end(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    with live.published(home, state()):
        progress.send(InCell("task/b", 0, Opened("b0", False)))
        time.sleep(live.WRITE_SECONDS + 0.1)
        progress.send(InCell("task/b", 0, Stage("b0", "fit", 1)))
        (going,) = live.read(home)
        assert (going.ended, going.of("task/b", 0).stage) == (False, "fit")
        progress.send(InCell("task/b", 0, CellEnded(None, "no memory")))
    (ended,) = live.read(home)
    assert ended.ended
    assert ended.of("task/b", 0).state == FAILED
    assert "failed: seed 0" in shown(ended)


def test_a_curve_in_one_line() -> None:
    assert board.bars([0.0, 7.0, 3.5]) == "▁█▅"
    assert board.bars([2.0, 2.0]) == "▁▁"
    assert len(board.bars([float(value) for value in range(100)])) == board.WIDTH


def test_watch_and_runs_show_what_was_played(rlhf: Command) -> None:
    result = rlhf.train()
    watched = rlhf("watch", result["run_id"][:6], "--json")
    content = json.loads(watched.stdout)
    assert (content["run_id"], content["ended"]) == (result["run_id"], True)
    assert content["runs"][0]["curve"][-1][2] == result["true_return_iqm"]
    assert "true return" in rlhf("watch", "tiny").stdout

    listed = json.loads(rlhf("runs", "--filter", "strategy=preference", "--json").stdout)
    assert result["run_id"] in [run["run_id"] for run in listed]
    one = rlhf("runs", result["run_id"][:8])
    assert f"run: {result['run_id']}" in one.stdout
    assert f"/runs/{result['run_id']}" in one.stdout
    assert rlhf("runs", "--filter", "seed=987654").stdout == "no run fits\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runs", "--filter", "stratgy=x"), "unknown word 'stratgy'; did you mean 'strategy'?"),
        (("runs", "--filter", "status=ended"), "--filter status: unknown 'ended'"),
        (("runs", "--filter", "strategy"), "--filter: expected WORD=VALUE"),
        (("runs", "--experiment", "Pendulum-v0"), "unknown 'Pendulum-v0'; did you mean"),
        (("runs", "zzz"), "run 'zzz': expected one run that begins so, actual: none"),
        (("watch", "nobody"), "no run or comparison 'nobody' has been played"),
    ],
)
def test_bad_input_is_one_line(rlhf: Command, arguments: tuple[str, ...], message: str) -> None:
    if not run_ids(rlhf.home):
        rlhf.train()
    done = rlhf(*arguments)
    assert done.returncode == 2
    (line,) = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert message in line

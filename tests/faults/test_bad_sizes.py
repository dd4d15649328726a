"""Absurd sizes, files that are none, and texts that explode: one line, at once."""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from flows.command.app import app
from rlhf_core.budget import Budget
from rlhf_core.errors import ConfigurationError
from rlhf_core.files import read_regular
from rlhf_core.memory import format_bytes, machine_memory, needs
from rlhf_core.texts import shortened_repr
from rlhf_core.yaml_text import VALUES, parse
from tests.core.examples import tiny
from tests.flows.conftest import TINY, tiny_file

pytestmark = pytest.mark.faults

LONGEST_LINE = 2500
HUGE = 10**12
ROOM = {"env_steps": 10**18, "labels": 9, "rounds": 3, "initial_steps": 160}
"""A budget that any rollout fits into."""
PENDULUM = {"id": "Pendulum-v1", "count": 4, "time_limit": 40}


def refused(*arguments: str) -> str:
    """The one short line with which the command refuses its arguments."""
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    assert len(line) < LONGEST_LINE
    assert "Traceback" not in line
    return line


def section(name: str, **changes: Any) -> dict[str, Any]:
    """A section of the tiny experiment with some fields changed."""
    return {name: {**TINY[name], **changes}}


FITS = "expected a run that fits into the"
TOO_LARGE: dict[str, tuple[dict[str, Any], str]] = {
    "optimiser.hidden": (section("optimiser", hidden=[HUGE]), FITS),
    "optimiser.hidden of two": (section("optimiser", hidden=[10**6, 10**6]), FITS),
    "optimiser.steps": (
        {**section("optimiser", steps=HUGE, batch_size=2), "budget": ROOM},
        FITS,
    ),
    "environment.count": (
        {
            "environment": {**PENDULUM, "count": 10**9},
            **section("optimiser", steps=1, batch_size=2),
            "budget": ROOM,
        },
        FITS,
    ),
    "feedback.reward_model.members": (
        section("feedback", reward_model={"members": 10**9, "hidden": [8]}),
        FITS,
    ),
    "feedback.reward_model.hidden": (section("feedback", reward_model={"hidden": [HUGE]}), FITS),
    "feedback.segment_steps": (
        {
            "environment": {**PENDULUM, "time_limit": HUGE},
            **section("feedback", segment_steps=HUGE),
        },
        FITS,
    ),
    "evaluation.episodes": ({"evaluation": {"episodes": 10**9}}, FITS),
    "budget.initial_steps": ({"budget": {**ROOM, "initial_steps": HUGE}}, FITS),
    "budget.labels": ({"budget": {**ROOM, "labels": 10**11}}, FITS),
    "optimiser.population": (
        {"optimiser": {"kind": "openai_es", "population": HUGE}, "budget": ROOM},
        FITS,
    ),
    "optimiser.hidden of a covariance": (
        {"optimiser": {"kind": "cma_es", "hidden": [10**5]}, "budget": ROOM},
        FITS,
    ),
    "optimiser.episodes": (
        {"optimiser": {"kind": "openai_es", "episodes": HUGE}, "budget": ROOM},
        FITS,
    ),
    "optimiser.processes": (
        {"optimiser": {"kind": "ars", "processes": 10**9}, "budget": ROOM},
        "expected less than or equal to 1024, actual: 1000000000",
    ),
    "optimiser.buffer_size": ({"optimiser": {"kind": "sac", "buffer_size": HUGE}}, FITS),
    "optimiser.batch_size": ({"optimiser": {"kind": "sac", "batch_size": HUGE}}, FITS),
    "optimiser.lstm_size": (
        {**section("optimiser", kind="recurrent_ppo", lstm_size=10**7)},
        FITS,
    ),
    "feedback.discriminator.hidden": (
        {"feedback": {"kind": "inverse_rl", "discriminator": {"hidden": [HUGE]}}},
        FITS,
    ),
    "annotator.episodes": ({"annotator": {"kind": "expert", "episodes": 10**9}}, FITS),
    "annotator.optimiser.hidden": (
        {"annotator": {"kind": "expert", "optimiser": {"hidden": [HUGE], "batch_size": 2}}},
        FITS,
    ),
    "annotator.workers": ({"annotator": {"kind": "crowd", "workers": HUGE}}, FITS),
    "threads": ({"threads": 10**9}, "expected less than or equal to 1024"),
    "environment.frames": (
        {"environment": {**PENDULUM, "frames": 10**6}},
        "expected less than or equal to 4096",
    ),
    "budget.rounds": (
        {"budget": {**ROOM, "rounds": 10**9}},
        "expected less than or equal to 10000",
    ),
    "seed": ({"seed": 2**64}, "expected an integer below 2^63"),
}


@pytest.mark.parametrize("field", TOO_LARGE)
def test_an_absurd_size_is_refused_by_its_field(field: str, tmp_path: Path) -> None:
    changes, message = TOO_LARGE[field]
    line = refused("check", str(tiny_file(tmp_path, **changes)))
    assert message in line
    if message == FITS:
        assert (
            f"tiny.yaml: {field.partition(' ')[0]}: {FITS} {format_bytes(machine_memory())}" in line
        )
    else:
        assert field.rpartition(".")[2] in line or message.startswith("expected an integer")


def test_ten_thousand_rounds_are_checked_at_once(tmp_path: Path) -> None:
    budget = {**ROOM, "rounds": 10_000, "labels": 600, "env_steps": 10**9}
    environment = {**PENDULUM, "count": 4}
    path = tiny_file(tmp_path, budget=budget, environment=environment)
    done = CliRunner().invoke(app, ["check", str(path)])
    assert done.exit_code == 0, done.output


def test_what_is_needed_is_stated_by_field_and_below_what_is_used() -> None:
    needed = needs(tiny())
    assert needed["optimiser.steps"] == 8 * 2 * (2 * 4 + 8 + 10 + 4 + 20)
    # Actor 1-8-2 and critic 1-8-1, sixteen bytes a parameter.
    assert needed["optimiser.hidden"] == 16 * ((2 * 8 + 9 * 2) + (2 * 8 + 9))
    # Two members that read one number and two categories.
    assert needed["feedback.reward_model.hidden"] == 16 * 2 * (4 * 8 + 9)
    assert sum(needed.values()) < 100_000
    assert machine_memory() > 2**28


def test_bytes_are_shown_in_the_largest_unit() -> None:
    assert [format_bytes(count) for count in (0, 1023, 1536, 24 * 2**30)] == [
        "0 B", "1.02e+03 B", "1.5 KiB", "24 GiB",
    ]  # fmt: skip
    assert format_bytes(10**40) == "10^21 EiB"


def bomb(levels: int) -> str:
    """Each level refers nine times to the one below: nine to the power of the levels."""
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    for level in range(1, levels):
        inner = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level} [{inner}]")
    return "\n".join(lines)


MERGES = "\n".join(
    ["a0: &a0 {x: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}" for n in range(1, 60))]
)
TEXTS = {
    "a bomb of aliases": (bomb(9), "expected at most 10,000 values"),
    "a bomb in a known field": (
        f"name: a\n{bomb(9)}\nenvironment: {{id: Pendulum-v1}}\noptimiser: {{hidden: *a8}}",
        "expected at most 10,000 values",
    ),
    "a bomb of merges": (MERGES, "expected at most 10,000 values"),
    "an alias inside of itself": ("name: &a [*a]", "an alias stands inside of what it stands"),
    "a long list": (f"name: [{'1, ' * 20_000}]", "expected at most 10,000 values"),
    "a deep list": ("[" * 5000, "nested too deeply"),
    "a long name": (f"name: {'a' * 900_000}\nenvironment: CartPole-v1", "at most 100 characters"),
    "a long field": (f"? {'a' * 900_000}\n: 1", "unknown field 'aaa"),
    "a long id": (f"name: a\nenvironment: {{id: {'a' * 900_000}}}", "environment.id: expected at"),
    "a long kind": (
        f"name: a\nenvironment: CartPole-v1\nfeedback: {'a' * 900_000}",
        "unknown kind",
    ),
    "many wrong values": (
        f"name: a\nenvironment: CartPole-v1\noptimiser: {{hidden: [{'x, ' * 5000}]}}",
        "; and 4990 more",
    ),
    "a long number": (f"seed: {'9' * 5000}", "looks like a value of type int, and is none"),
    "a long hexadecimal number": (f"seed: 0x{'f' * 5000}", "expected an integer below 2^63"),
    "a key twice": (f"? {'k' * 9000}\n: 1\n? {'k' * 9000}\n: 2", "stands twice in one mapping"),
    "an object of Python": ("name: !!python/object/apply:os.system [ls]", "not valid YAML"),
    "not text": ("\x00name", "not valid YAML"),
    "a number that is none": ("name: a\nenvironment: CartPole-v1\nbudget: {money: .nan}", "finite"),
    "an infinite option": (
        "name: a\nenvironment: {id: Pendulum-v1, options: {g: .inf}}",
        "environment.options",
    ),
    "a list of mappings as a key": ("? [a, b]\n: 1\n", "error"),
    "nothing": ("", "expected a mapping"),
    "a name with a null": ('name: "a\\0b"\nenvironment: CartPole-v1', "name: expected a letter"),
    "an id with a null": (
        'name: a\nenvironment: {id: "a\\0b:C-v0"}',
        "environment.id: cannot make",
    ),
    "an id that goes up": ("name: a\nenvironment: {id: '..:C-v0'}", "environment.id: cannot make"),
    "an id of two modules": ("name: a\nenvironment: {id: 'a:b:C-v0'}", "environment.id: cannot"),
    "a recording with a null": (
        'name: a\nenvironment: Pendulum-v1\nannotator: {kind: expert, recording: "a\\0b"}',
        "annotator.recording: expected a file that Agent.record wrote",
    ),
    "a device as a recording": (
        "name: a\nenvironment: Pendulum-v1\nannotator: {kind: expert, recording: /dev/zero}",
        "expected a regular file, actual: a device",
    ),
    "an id of an empty module": (
        "name: a\nenvironment: {id: ':C-v0'}",
        "environment.id: expected module:EnvId, or EnvId alone, actual: ':C-v0'",
    ),
    "shares without a sum": (
        "name: a\nenvironment: Pendulum-v1\n"
        "feedback: {kind: mixed, shares: {comparison: 1.0e+308, rating: 1.0e+308}}",
        "shares: expected a finite sum",
    ),
    "an option for the film": (
        "name: a\nenvironment: {id: Pendulum-v1, options: {render_mode: human}}",
        "expected none named render_mode",
    ),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_bad_text_is_refused_in_one_short_line(name: str, tmp_path: Path) -> None:
    text, message = TEXTS[name]
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    assert message in refused("check", str(path))


def test_files_that_are_none_are_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    (tmp_path / "folder.yaml").mkdir()
    assert "expected a regular file, actual: a pipe" in refused("check", str(pipe))
    assert "actual: a folder" in refused("check", str(tmp_path / "folder.yaml"))
    assert "actual: a folder" in refused("check", str(tmp_path))
    assert "actual: a device" in refused("check", "/dev/zero")
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(10**9)
    message = "expected at most 1,000,000 bytes, actual: 1,000,000,000"
    assert message in refused("check", str(tmp_path / "large.yaml"))


def test_names_that_no_file_can_have_are_refused() -> None:
    assert "cannot be read: embedded null byte" in refused("check", "a\0b.yaml")
    assert "unknown preset 'aaa" in refused("check", "a" * 100_000)
    assert "cannot be read: [Errno 36]" in refused("check", f"{'a' * 10_000}.yaml")
    assert "cannot be read" in refused("check", "\ud800.yaml")


def test_long_overrides_are_not_repeated(tmp_path: Path) -> None:
    path, long = str(tiny_file(tmp_path)), "x" * 100_000
    for text in (long, f"{long}=1", f"seed={long}", f"name={long}", f"budget.{long}.a=1"):
        refused("check", path, "--set", text)
    refused("list", long)


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    with pytest.raises(ConfigurationError, match="at most 4 bytes, actual: 5"):
        read_regular(path, 4)


def test_aliases_are_counted_as_what_they_stand_for() -> None:
    assert parse("a: &a [1, 2]\nb: *a", "text") == {"a": [1, 2], "b": [1, 2]}
    most = "a: &a [" + "1, " * (VALUES // 2 - 10) + "]\nb: *a"
    assert len(parse(most, "text")["b"]) == VALUES // 2 - 10
    with pytest.raises(ConfigurationError, match="expected at most 10,000 values"):
        parse(most + "\nc: *a", "text")
    # Merges are still understood.
    assert parse("a: &a {x: 1}\nb: {<<: *a, y: 2}", "text")["b"] == {"x": 1, "y": 2}


def test_a_value_that_python_does_not_write_is_shown_by_its_type() -> None:
    assert shortened_repr(10**5000) == "an object of type int that is too large to be shown"
    assert shortened_repr("a" * 500) == "'" + "a" * 199 + "... (502 characters)"


@pytest.mark.parametrize(("labels", "rounds"), [(200, 10), (7, 3), (3, 2), (1000, 17)])
def test_hyperbolic_shares_are_those_of_exact_fractions(labels: int, rounds: int) -> None:
    from fractions import Fraction

    plan = tiny(budget={"env_steps": 10**5, "labels": 4, "rounds": 2}).plan
    budget = Budget(labels=labels, rounds=rounds, label_schedule="hyperbolic")
    plan = type(plan)(budget, 0, 0.0, 1, 0)
    weights = [Fraction(1, 1 + index) for index in range(rounds)]
    expected = [int(labels * (sum(weights[:n]) / sum(weights))) for n in range(rounds + 1)]
    shares = [plan.of_round(index) for index in range(rounds)]
    assert shares == [b - a for a, b in pairwise(expected)]
    assert sum(shares) == labels


def test_the_tiny_experiment_is_still_accepted(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["check", str(tiny_file(tmp_path))])
    assert done.exit_code == 0, done.output
    assert yaml.safe_load((tmp_path / "tiny.yaml").read_text())["name"] == "tiny"

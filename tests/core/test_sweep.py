"""Sweeps: what is drawn stays drawn through kills, bad trials end early, and seeds stay apart."""

import math
from pathlib import Path
from typing import Any

import pytest

from rlhf_core.configuration import validated
from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.sweep import Study, Sweep, curves

SPACE: dict[str, Any] = {
    "optimiser.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "feedback.queries.kind": ["uniform", "disagreement"],
    "feedback.queries.oversample": {
        "low": 2, "high": 20, "when": {"feedback.queries.kind": "disagreement"},
    },
    "optimiser.hidden": [[32, 32], [64]],
}  # fmt: skip
USUAL = {
    "optimiser.learning_rate": 3e-4,
    "feedback.queries.kind": "uniform",
    "feedback.queries.oversample": None,
    "optimiser.hidden": [32, 32],
}


def sweep(**changes: Any) -> Sweep:
    return validated(
        Sweep,
        {"name": "search", "experiment": "pendulum-preference", "space": SPACE, "trials": 12}
        | changes,
        "sweep",
    )


def true_return(changes: dict[str, Any], seed: int) -> float:
    """Best at a learning rate of 0.01 with disagreement; seeds differ by less than settings."""
    distance = abs(math.log10(changes["optimiser.learning_rate"]) + 2)
    return -distance - (changes["feedback.queries.kind"] == "uniform") + 0.01 * (seed % 10)


def played(wanted: Sweep, path: Path, runs: int | None = None) -> Study:
    """Play a sweep to its end, or as far as a process that is killed after so many runs."""
    study = Study(wanted, path, USUAL)
    while (setting := study.next()) is not None:
        for seed in wanted.tuned_on:
            if seed in setting.returns:
                continue
            if runs == 0:
                return study
            runs = None if runs is None else runs - 1
            if study.report(setting.number, seed, true_return(dict(setting.changes), seed)):
                break
        study.end(setting.number)
    return study


def test_a_search_that_is_killed_twice_finds_what_one_that_is_not_finds(tmp_path: Path) -> None:
    whole = played(sweep(), tmp_path / "whole.journal").settings()
    path = tmp_path / "killed.journal"
    played(sweep(), path, runs=7)
    played(sweep(), path, runs=16)
    settings = played(sweep(), path).settings()
    assert settings == whole
    assert len(settings) == 12
    assert all(one.ended for one in settings)


def test_the_first_trial_is_the_experiment_as_it_is(tmp_path: Path) -> None:
    first = played(sweep(trials=1), tmp_path / "a.journal").settings()[0]
    assert first.changes == {
        field: value for field, value in USUAL.items() if not field.endswith("oversample")
    }
    elsewhere = {**USUAL, "optimiser.learning_rate": 0.5}
    study = Study(sweep(trials=1), tmp_path / "b.journal", elsewhere)
    setting = study.next()
    assert setting is not None
    assert setting.changes["optimiser.learning_rate"] < 0.1


def test_bad_trials_are_given_up_and_good_ones_are_played_whole(tmp_path: Path) -> None:
    study = played(sweep(trials=30), tmp_path / "a.journal")
    pruned = [one for one in study.settings() if one.pruned]
    assert len(pruned) >= 5
    assert all(2 < len(one.returns) < 5 for one in pruned)
    best = study.best()[0]
    assert len(best.returns) == 5
    assert all(best.mean >= one.mean for one in study.settings())
    assert best.changes["feedback.queries.kind"] == "disagreement"
    none = played(sweep(trials=30, pruner="none"), tmp_path / "b.journal")
    assert not any(one.pruned for one in none.settings())


def test_a_field_is_varied_under_its_condition_alone(tmp_path: Path) -> None:
    for one in played(sweep(sampler="random"), tmp_path / "a.journal").settings():
        asked = one.changes["feedback.queries.kind"] == "disagreement"
        assert ("feedback.queries.oversample" in one.changes) == asked


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc", "random"])
def test_every_sampler_keeps_to_the_space(sampler: str, tmp_path: Path) -> None:
    wanted = sweep(sampler=sampler, trials=9)
    for one in played(wanted, tmp_path / "a.journal").settings():
        for field, value in one.changes.items():
            assert wanted.space[field].stored(value) is not None


def test_a_failed_trial_counts_and_is_no_candidate(tmp_path: Path) -> None:
    study = Study(sweep(trials=2, seeds=[105]), tmp_path / "a.journal", USUAL)
    first, second = study.next(), study.next()
    assert first is not None
    assert second is not None
    assert study.next() is None
    study.end(first.number, "it diverged")
    study.report(second.number, 105, 1.0)
    study.end(second.number)
    assert [one.number for one in study.best()] == [second.number]
    assert study.settings()[first.number].reason == "it diverged"
    assert not study.unfinished


def test_patience_ends_a_search_that_does_not_get_better(tmp_path: Path) -> None:
    wanted = sweep(trials=200, patience=8)
    settings = played(wanted, tmp_path / "a.journal").settings()
    assert 9 <= len(settings) < 100


def test_a_changed_space_is_refused_and_more_trials_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    played(sweep(), path)
    assert len(played(sweep(trials=14), path).settings()) == 14
    narrower = {**SPACE, "optimiser.learning_rate": {"low": 1e-3, "high": 1e-1, "log": True}}
    with pytest.raises(RunError, match=r"space.optimiser.learning_rate.low was 0.0001, now 0.001"):
        Study(sweep(space=narrower), path, USUAL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [3], "final_seeds": [2, 3]}, r"final_seeds: .*none that is tuned on.*\[3\]"),
        ({"space": {}}, "space: "),
        ({"space": {"a": {"low": 2, "high": 1}}}, r"space.a.low: expected less than high"),
        ({"space": {"a": {"low": 0, "high": 1, "log": True}}}, "low: expected more than 0"),
        ({"space": {"a": {"low": 1}}}, "expected low and high, or choices"),
        ({"space": {"a": []}}, "choices: expected at least one"),
        ({"space": {"a": [1, 1]}}, "choices: expected each once"),
        ({"space": {"a": {"low": 1, "high": 5, "step": 0.5}}}, "step: expected a whole number"),
        ({"space": {"a": {"choices": [1], "low": 2}}}, "either choices or an interval"),
        ({"space": {"seed": [1, 2]}}, "space: expected no field 'seed'"),
        ({"set": {"optimiser.hidden": [8]}}, "set: expected no field that 'space' has too"),
        ({"space": {"a": {"choices": [1], "when": {"b": 2}}, "b": [2]}}, "stand before it"),
        ({"sampler": "best"}, "sampler: "),
        ({"seeds": []}, "seeds: .*at least one seed"),
    ],
)  # fmt: skip
def test_a_search_that_makes_no_sense_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        sweep(**changes)


def test_a_run_must_reach_a_percentile_of_the_others_at_equal_steps() -> None:
    others = [
        {0: [(100, -9.0), (200, -5.0)]},
        {0: [(100, -8.0), (250, -2.0)]},
        {0: [(100, -7.0), (200, -1.0)]},
        {1: [(100, 0.0)]},  # Given up before it came to seed 0: worse than any.
    ]
    least = curves.bar(others, 0, percentile=50, first_step=0)
    assert least == [(100, -8.0), (200, -5.0), (250, -2.0)]
    assert curves.bar(others, 0, percentile=0, first_step=0) == []
    assert curves.bar(others, 0, percentile=50, first_step=150) == least[1:]
    assert curves.falls_short([(100, -8.0)], least) is None
    assert curves.falls_short([(50, -100.0)], least) is None
    why = curves.falls_short([(100, -7.0), (240, -5.5)], least)
    assert why == "given up after 240 environment steps: -5.5, and -5 was wanted"


def test_a_trial_is_given_up_in_the_middle_of_a_run(tmp_path: Path) -> None:
    wanted = sweep(pruner="none", seeds=2, give_up={"percentile": 50, "trials": 2})
    path = tmp_path / "a.journal"
    study = Study(wanted, path, USUAL)
    for last in (-5.0, -3.0):
        setting = study.next()
        assert setting is not None
        for seed in wanted.tuned_on:
            assert study.bar(setting.number, seed) == []
            study.report(setting.number, seed, last, [(100, last - 1), (200, last)])
        study.end(setting.number)
    third = study.next()
    assert third is not None
    assert study.bar(third.number, 100) == [(100, -4.0), (200, -3.0)]
    ended = study.give_up(third.number, 100, [(100, -6.0)], "too low")
    assert ended.ended
    assert ended.pruned
    assert ended.given_up == "seed 100: too low"
    # The second seed: the third trial never came to it, and two were better.
    again = Study(wanted, path, USUAL)
    fourth = again.next()
    assert fourth is not None
    assert again.bar(fourth.number, 101) == [(100, -6.0), (200, -5.0)]
    assert [one.number for one in again.best()] == [1, 0]


def test_without_being_asked_no_run_is_given_up(tmp_path: Path) -> None:
    study = played(sweep(trials=6), tmp_path / "a.journal")
    assert study.bar(6, 100) == []

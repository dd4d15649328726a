"""A comparison's matrix: its cells by hand, their names, and every problem at once."""

from typing import Any

import pytest

from rlhf_core.configuration import validated
from rlhf_core.errors import ConfigurationError, MatrixError
from rlhf_core.matrix import Matrix

SMALL: dict[str, Any] = {
    "name": "small",
    "environment": {"id": "Pendulum-v1", "count": 4},
    "optimiser": {"kind": "ppo", "steps": 32, "batch_size": 64, "hidden": [8]},
    "budget": {"env_steps": 2000, "labels": 20, "rounds": 2, "initial_steps": 800},
}


def matrix(**fields: Any) -> Matrix:
    return validated(Matrix, {"name": "m", "experiment": SMALL, **fields}, "file")


def names(**fields: Any) -> list[str]:
    return [cell.name for cell in matrix(**fields).cells({})]


def test_cells_are_all_combinations_in_the_order_of_the_file() -> None:
    vary = {"feedback.kind": ["preference", "constant"], "budget.labels": [10, 20]}
    assert names(vary=vary) == [
        "preference-ppo-labels10",
        "preference-ppo-labels20",
        "constant-ppo-labels10",
        "constant-ppo-labels20",
    ]


def test_cells_have_their_values_and_leave_the_rest() -> None:
    cells = matrix(
        set={"budget.rounds": 3}, vary={"optimiser.hidden": [[8], [16, 16]]}, seeds=[7]
    ).cells({})
    assert [cell.experiment.optimiser.model_dump()["hidden"] for cell in cells] == [(8,), (16, 16)]
    assert {cell.experiment.budget.rounds for cell in cells} == {3}
    assert [cell.name for cell in cells] == ["preference-ppo-hidden8", "preference-ppo-hidden16x16"]
    assert cells[0].of_seed(7).seed == 7
    assert cells[0].experiment.seed == 0


def test_values_that_are_settings_of_a_kind_name_their_cells() -> None:
    sac = {"kind": "sac", "hidden": [8]}
    assert names(vary={"optimiser": ["ppo", sac], "environment.options": [{}, {"g": 8.0}]}) == [
        "preference-ppo-optimiser_ppo-options_empty",
        "preference-ppo-optimiser_ppo-optionsg8.0",
        "preference-sac-optimisersac_hidden8-options_empty",
        "preference-sac-optimisersac_hidden8-optionsg8.0",
    ]


def test_variants_are_sets_of_changes_and_name_their_cells_once() -> None:
    variants = {
        "ppo": {},
        "rankings": {"feedback.kind": "preference", "feedback.form": "ranking"},
        "sac": {"optimiser": {"kind": "sac", "hidden": [8]}},
    }
    assert names(variants=variants) == [
        "preference-ppo",
        "preference-ppo-rankings",
        "preference-sac",
    ]


def test_several_experiments_are_tasks() -> None:
    other = {**SMALL, "name": "other"}
    cells = matrix(experiment=[SMALL, "preset"]).cells({"preset": other})
    assert [cell.label for cell in cells] == ["small/preference-ppo", "other/preference-ppo"]


def test_excluded_cells_are_left_out_also_by_values_that_the_experiment_has() -> None:
    vary = {"feedback.kind": ["preference", "constant"], "optimiser.discount": [0.9, 0.99]}
    kept = names(vary=vary, exclude=[{"feedback.kind": "constant", "optimiser.discount": 0.9}])
    assert kept == ["preference-ppo-discount0.9", "preference-ppo-discount0.99",
                    "constant-ppo-discount0.99"]  # fmt: skip
    assert names(vary=vary, exclude=[{"optimiser.kind": "ppo", "feedback.kind": "constant"}]) == [
        "preference-ppo-discount0.9",
        "preference-ppo-discount0.99",
    ]


@pytest.mark.parametrize(
    "rule",
    [
        {"optimiser.kind": "sac"},
        {"optimiser": "sac"},
        {"optimiser.kind": "sac", "evaluation.episodes": 40},
    ],
)
def test_a_rule_reads_what_a_cell_has_however_it_was_given(rule: dict[str, Any]) -> None:
    variants = {"ppo": {}, "sac": {"optimiser": {"kind": "sac", "hidden": [8]}}}
    assert names(variants=variants, exclude=[rule]) == ["preference-ppo"]


def test_a_cell_that_cannot_be_run_may_be_excluded() -> None:
    vary = {"budget.env_steps": [10, 2000]}
    assert names(vary=vary, exclude=[{"budget.env_steps": 10}]) == ["preference-ppo-env_steps2000"]


def test_all_problems_of_all_cells_are_named_at_once() -> None:
    wrong = matrix(
        vary={"feedback.kind": ["preferenc", "constant"], "budget.env_steps": [2000, 10]},
        control="nobody",
    )
    with pytest.raises(MatrixError) as caught:
        wrong.cells({})
    assert caught.value.problems == (
        "cell feedback.kind=preferenc budget.env_steps=2000 and 1 more: experiment: feedback: "
        "unknown kind 'preferenc'; did you mean 'preference'? valid: constant, direct_reward, "
        "inverse_rl, mixed, preference, random_network, shuffled_labels, sign_flipped, true_reward",
        "cell feedback.kind=constant budget.env_steps=10: experiment: budget.env_steps: expected "
        "at least 1056 (800 first steps and one rollout of 128 in each of 2 rounds), actual: 10",
    )


def test_a_problem_that_cells_share_is_named_once() -> None:
    wrong = matrix(vary={"budget.label": [1, 2], "optimiser.discount": [0.9, 0.99]})
    with pytest.raises(MatrixError) as caught:
        wrong.cells({})
    (problem,) = caught.value.problems
    assert problem.startswith("cell budget.label=1 optimiser.discount=0.9 and 3 more: experiment: ")
    assert "unknown field 'label'; did you mean 'labels'?" in problem


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": []}, "seeds: expected at least one seed, actual: none"),
        ({"seeds": [1, 1]}, "seeds: expected each seed once"),
        ({"seeds": 0}, "seeds"),
        ({"variants": {"../a": {}}}, "variants"),
        ({"vary": {"budget.labels": []}}, "vary.budget.labels: expected at least one value"),
        ({"vary": {"seed": [1, 2]}}, "vary: expected the seeds in 'seeds'"),
        ({"variants": {"a": {"name": "b"}}}, "variants.a: expected the name of the experiment"),
        (
            {"set": {"budget.labels": 5}, "vary": {"budget.labels": [20]}},
            "set: expected no field that 'vary' has too, actual: ['budget.labels']",
        ),
        ({"set": {"seed": 3}}, "set: expected the seeds in 'seeds'"),
        ({"varied": {}}, "unknown field 'varied'; did you mean 'vary'?"),
        ({"seeds": 1000, "vary": {"budget.labels": list(range(1000))}}, "at most 100,000 runs"),
    ],
)
def test_a_matrix_that_is_none_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        matrix(**fields)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"control": "preference-pp"}, "control: unknown cell 'preference-pp'; did you mean"),
        ({"failure_below": {"smal": 1.0}}, "failure_below: unknown task 'smal'; did you mean"),
        ({"exclude": [{"optimiser.knd": "ppo"}]}, "exclude: expected a rule that fits a cell"),
        ({"exclude": [{"optimiser.kind": "ppo"}]}, "exclude: expected at least one cell"),
        ({"vary": {"budget.labels": [20, 20]}}, "expected one of this name, actual: 2"),
    ],
)
def test_cells_that_do_not_fit_together_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(MatrixError) as caught:
        matrix(**fields).cells({})
    assert message in str(caught.value)

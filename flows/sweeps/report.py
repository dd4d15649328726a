"""What is told of a sweep: its best settings, what they are worth on fresh seeds, and a preset."""

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from flows.sweeps import figures
from flows.sweeps.trials import USUAL, Base
from rlhf_core.configuration import to_yaml
from rlhf_core.sweep import Setting, Study, Sweep
from rlhf_core.texts import number, shortened
from tasks.home import Home, write_private

TABLE = "sweep/sweep.md"
"""The table of the trials, as an artifact."""
MOST_ROWS = 10


def result(
    home: Home,
    sweep: Sweep,
    base: Base,
    study: Study,
    run_id: str,
    final: Mapping[str, Any],
) -> dict[str, Any]:
    """The result of a sweep; where a setting beat the usual one, a preset is written.

    Args:
        home: where the preset is written.
        sweep: what was searched.
        base: what was varied.
        study: its trials.
        run_id: of the sweep itself.
        final: the comparison of the best settings on fresh seeds.
    """
    settings = study.settings()
    rows = {_variant(str(row["cell"])): row for row in final["table"]}
    winner = next(iter(rows))
    setting = None if winner == USUAL else settings[int(winner.removeprefix("trial-"))]
    lines = [answer(sweep, winner, rows), *_luck(sweep, settings, rows)]
    path = None
    if setting is not None:
        path = home.folder("sweeps") / f"{sweep.name}.yaml"
        note = "\n".join(f"# {line}" for line in [f"Found by the sweep {sweep.name}.", *lines])
        best = base.cell(setting).experiment.model_copy(update={"name": f"{sweep.name}-best"})
        write_private(path, f"{note}\n{to_yaml(best)}")
        lines.append(f"The setting is a preset: {path}")
    shares = figures.importances(study)
    return {
        "name": sweep.name,
        "run_id": run_id,
        "final_run_id": final["run_id"],
        "answer": " ".join(lines),
        "trials": [_row(one) for one in settings],
        "importances": shares,
        "final": final["table"],
        "failed": final["failed"],
        "preset": None if path is None else str(path),
        "text": _text(sweep, study.best(), settings, shares, str(final["text"]), lines),
    }


def reasons(study: Study) -> str:
    """Why trials failed, the first of them."""
    failures = [one.reason for one in study.settings() if one.reason is not None]
    return shortened(failures[0], 300) if failures else "none was played with every seed"


def _variant(cell: str) -> str:
    """The variant that a cell of the final comparison is, after its strategy and optimiser."""
    return USUAL if cell.endswith(f"-{USUAL}") else "trial-" + cell.rpartition("-trial-")[2]


def answer(sweep: Sweep, winner: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """What came of the best settings, beside the usual one."""
    usual = rows[USUAL]
    count = len(sweep.fresh)
    seeds = f"{count} fresh seed{'s' * (count > 1)}"
    if winner == USUAL:
        return (
            f"On {seeds} no setting that was found beats the experiment as it is (IQM "
            f"{number(usual['iqm'], 1)})."
        )
    best = rows[winner]
    reached = (
        f"On {seeds} {winner} reaches an IQM of {_interval(best)}, the experiment as it is "
        f"{_interval(usual)}"
    )
    if best["improvement"] is None:
        return f"{reached}."
    chance = number(best["improvement"], 2)
    return f"{reached}; it is the better one with a probability of {chance}."


def _interval(row: Mapping[str, Any]) -> str:
    """The IQM, with its interval where there are seeds enough for one."""
    if row["ci_low"] is None:
        return f"{row['iqm']:.1f}"
    return f"{row['iqm']:.1f} ({row['ci_low']:.1f} to {row['ci_high']:.1f})"


def _luck(
    sweep: Sweep, settings: Sequence[Setting], rows: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """By how much the seeds that settings were chosen by flatter them: the winner's curse."""
    best = [settings[int(name.removeprefix("trial-"))] for name in rows if name != USUAL]
    if not best:
        return []
    tuned = fmean(one.mean for one in best)
    fresh = fmean(float(rows[f"trial-{one.number}"]["mean"]) for one in best)
    what = "The best setting" if len(best) == 1 else f"The best {len(best)} settings"
    luck = tuned - fresh
    verdict = f"{luck:.1f} were luck of the choice" if luck > 0 else "no luck of the choice shows"
    return [
        f"{what} had a mean of {tuned:.1f} on the {len(sweep.tuned_on)} seeds that settings were "
        f"chosen by and of {fresh:.1f} on fresh ones: {verdict}."
    ]


def _row(setting: Setting) -> dict[str, Any]:
    return {
        "number": setting.number,
        "changes": dict(setting.changes),
        "returns": {str(seed): value for seed, value in setting.returns.items()},
        "mean": setting.mean if setting.returns else None,
        "ended": setting.ended,
        "pruned": setting.pruned,
        "given_up": setting.given_up,
        "reason": setting.reason,
    }


def _text(
    sweep: Sweep,
    best: Sequence[Setting],
    settings: Sequence[Setting],
    shares: Mapping[str, float],
    final: str,
    lines: Sequence[str],
) -> str:
    pruned = sum(one.pruned for one in settings)
    failed = [one for one in settings if one.reason is not None]
    text = [
        f"{len(settings)} trials of {len(sweep.tuned_on)} seeds, {pruned} given up early, "
        f"{len(failed)} failed.",
        "",
        f"{'trial':<7}{'mean':>9}  setting",
    ]
    text += [
        f"{one.number:<7}{one.mean:>9.1f}  {described(one.changes)}" for one in best[:MOST_ROWS]
    ]
    text += [f"failed: trial {one.number}: {one.reason}" for one in failed[:3]]
    if shares:
        ranked = sorted(shares.items(), key=lambda pair: -pair[1])
        text += ["", "importances: " + ", ".join(f"{name} {share:.2f}" for name, share in ranked)]
    return (
        "\n".join([*text, "", f"On fresh seeds {sweep.fresh[0]} ...:", final.rstrip(), *lines])
        + "\n"
    )


def described(changes: Mapping[str, Any]) -> str:
    """A setting in one line."""
    values = (
        f"{field}={value:.4g}" if isinstance(value, float) else f"{field}={value}"
        for field, value in changes.items()
    )
    return " ".join(values)

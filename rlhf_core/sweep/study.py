"""The trials of a sweep: drawn, played seed by seed, given up early, and kept through kills."""

import json
import threading
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from rlhf_core.differences import changes_between
from rlhf_core.errors import RunError
from rlhf_core.sweep.curves import Curve, bar
from rlhf_core.sweep.definition import Sweep
from rlhf_core.sweep.journal import journal
from rlhf_core.sweep.samplers import sampler_of
from rlhf_core.sweep.space import suggested

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.study import Study as OptunaStudy
    from optuna.trial import FrozenTrial

DEFINITION, PRUNED, GIVEN_UP, REASON = "definition", "pruned", "given_up", "reason"
"""Attributes of studies and trials."""
CURVE = "curve."
"""Begins the attribute that holds a trial's learning curve; the seed follows."""


@dataclass(frozen=True)
class Setting:
    """The values of a trial."""

    number: int
    """From 0; the first is the experiment as it is, where the space holds that."""
    changes: Mapping[str, Any]
    """By the path of the field."""
    returns: Mapping[int, float]
    """True returns by seed, of the seeds that were played."""
    ended: bool
    pruned: bool = False
    """Whether it was given up before the end of its last seed."""
    given_up: str | None = None
    """Why it was given up in the middle of a run, where it was."""
    reason: str | None = None
    """Why it failed."""

    @property
    def mean(self) -> float:
        """Mean of the true returns over the seeds that were played."""
        return fmean(self.returns.values())

    @property
    def standard_error(self) -> float:
        """Of the mean; 0 for one seed."""
        count = len(self.returns)
        return stdev(self.returns.values()) / count**0.5 if count > 1 else 0.0


class Study:
    """A sweep in its file. Several threads may draw and report at the same time."""

    def __init__(self, sweep: Sweep, path: Path, usual: Mapping[str, Any]) -> None:
        """Begin a study, or go on with the one of the file.

        Args:
            sweep: what is searched.
            path: of the file.
            usual: the values that the experiment has for the fields of the space.

        Raises:
            RunError: the file holds another search.
        """
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        self._sweep = sweep
        self._lock = threading.Lock()
        self._open: dict[int, Trial] = {}
        self._study: OptunaStudy = optuna.create_study(
            storage=journal(path), study_name=sweep.name, direction="maximize",
            load_if_exists=True, pruner=_pruner(sweep),
        )  # fmt: skip
        if DEFINITION in self._study.user_attrs:
            self._check_unchanged()
        else:
            # In this order, so that a study which was killed in between is begun again.
            first = _first(sweep, usual)
            if first is not None and not self._study.trials:
                self._study.enqueue_trial(first)
            self._study.set_user_attr(DEFINITION, json.dumps(sweep.identity()))
        self._left = [trial.number for trial in self._study.trials if trial.state.name == "RUNNING"]

    def _check_unchanged(self) -> None:
        before = json.loads(self._study.user_attrs.get(DEFINITION, "{}"))
        changes = changes_between(before, json.loads(json.dumps(self._sweep.identity())))
        if changes:
            raise RunError(
                f"sweep '{self._sweep.name}' was defined otherwise, and its trials would not be "
                f"comparable: {'; '.join(changes)}; give this one another name"
            )

    def next(self) -> Setting | None:
        """The next setting to play: one that an earlier process left, or a new one.

        None: all trials are drawn, or more would not pay.
        """
        with self._lock:
            trial = self._next()
            if trial is None:
                return None
            changes = suggested(self._sweep.space, trial)
            self._open[trial.number] = trial
            return Setting(trial.number, changes, _returns(trial), False)

    def _next(self) -> "Trial | None":
        from optuna.trial import Trial

        trials = self._study.get_trials(deepcopy=False)
        if self._left:
            number = self._left.pop(0)
            self._study.sampler = self._sampler(number)
            return Trial(self._study, trials[number]._trial_id)
        drawn = sum(trial.state.name != "WAITING" for trial in trials)
        if drawn >= self._sweep.trials or self._is_enough():
            return None
        self._study.sampler = self._sampler(drawn)
        return self._study.ask()

    def _sampler(self, drawn: int) -> Any:
        return sampler_of(self._sweep.sampler, self._sweep.seed, drawn)

    def _is_enough(self) -> bool:
        """Whether the last trials were no better than the best before them."""
        best: Setting | None = None
        since = 0
        for one in self._settings():
            if not one.ended or one.reason is not None:
                continue
            if one.pruned:
                since += 1
                continue
            since += 1
            if best is None or one.mean > best.mean + best.standard_error:
                since = 0
            if best is None or one.mean > best.mean:
                best = one
        return self._sweep.patience is not None and since >= self._sweep.patience

    @property
    def unfinished(self) -> bool:
        """Whether there may be a trial to play."""
        with self._lock:
            ended = sum(one.ended for one in self._settings())
            return bool(self._left) or (ended < self._sweep.trials and not self._is_enough())

    def bar(self, number: int, seed: int) -> list[tuple[float, float]]:
        """What a trial's run must reach to go on, by environment steps; empty: it always does.

        It depends on the trials that have ended, so that one worker gives up the same runs each
        time.
        """
        rule = self._sweep.give_up
        if rule is None:
            return []
        with self._lock:
            others = [
                _curves(trial)
                for trial in self._study.get_trials(deepcopy=False)
                if trial.number != number and trial.state.name == "COMPLETE"
            ]
        if len(others) < rule.trials:
            return []
        return bar(others, seed, rule.percentile, rule.first_step)

    def give_up(self, number: int, seed: int, curve: Curve, why: str) -> Setting:
        """End a trial whose run with a seed was given up in its middle.

        Its last true return counts for the sampler as that of a whole run.
        """
        with self._lock:
            trial = self._open.pop(number)
            trial.set_user_attr(f"{CURVE}{seed}", [*map(list, curve)])
            trial.set_user_attr(PRUNED, True)
            trial.set_user_attr(GIVEN_UP, f"seed {seed}: {why}")
            self._study.tell(trial, fmean([*_returns(trial).values(), curve[-1][1]]))
        return self.settings()[number]

    def report(self, number: int, seed: int, true_return: float, curve: Curve = ()) -> bool:
        """Write down what a trial reached with a seed; whether to give it up.

        Args:
            number: of the trial.
            seed: of the run.
            true_return: at its end.
            curve: of the run, for those that are compared with it at equal steps.
        """
        with self._lock:
            trial = self._open[number]
            if self._sweep.give_up is not None:
                trial.set_user_attr(f"{CURVE}{seed}", [*map(list, curve)])
            if seed not in _returns(trial):
                trial.report(true_return, seed)
            return self._sweep.pruner != "none" and bool(trial.should_prune())

    def returns(self, number: int) -> dict[int, float]:
        """True returns of a trial that is being played, by seed, so far."""
        with self._lock:
            return _returns(self._open[number])

    def end(self, number: int, reason: str | None = None) -> Setting:
        """End a trial with the mean of its returns, or as failed for a reason."""
        from optuna.trial import TrialState

        with self._lock:
            trial = self._open.pop(number)
            returns = _returns(trial)
            if reason is None and not all(map(isfinite, returns.values())):
                reason = "a true return is no finite number"
            if reason is not None:
                trial.set_user_attr(REASON, reason)
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                trial.set_user_attr(PRUNED, len(returns) < len(self._sweep.tuned_on))
                # Told as complete, its mean guides the sampler; Optuna would take the last seed.
                self._study.tell(trial, fmean(returns.values()))
        return self.settings()[number]

    def settings(self) -> list[Setting]:
        """Every trial so far, by number."""
        with self._lock:
            return self._settings()

    def _settings(self) -> list[Setting]:
        settings = list[Setting]()
        for trial in self._study.get_trials(deepcopy=False):
            values = {
                field: self._sweep.space[field].value_of(stored)
                for field, stored in trial.params.items()
            }
            attributes = trial.user_attrs
            settings.append(
                Setting(
                    trial.number,
                    values,
                    dict(trial.intermediate_values),
                    trial.state.is_finished(),
                    bool(attributes.get(PRUNED)),
                    attributes.get(GIVEN_UP),
                    attributes.get(REASON),
                )
            )
        return settings

    def best(self) -> list[Setting]:
        """Trials that were played with every seed, the best first; equal settings count once."""
        whole = [one for one in self.settings() if one.ended and not one.pruned and not one.reason]
        ranked = sorted(whole, key=lambda one: (-one.mean, one.number))
        distinct = dict[str, Setting]()
        for one in ranked:
            distinct.setdefault(json.dumps(one.changes, sort_keys=True), one)
        return list(distinct.values())

    @property
    def optuna(self) -> "OptunaStudy":
        """The study of Optuna, for its figures and importances."""
        return self._study


def _pruner(sweep: Sweep) -> Any:
    from optuna.pruners import NopPruner, WilcoxonPruner

    if sweep.pruner == "none":
        return NopPruner()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls it experimental.
        return WilcoxonPruner(p_threshold=sweep.prune_below)


def _first(sweep: Sweep, usual: Mapping[str, Any]) -> dict[str, Any] | None:
    """The experiment as it is, as a trial; None where the space does not hold it."""
    first = dict[str, Any]()
    values = dict[str, Any]()
    for field, one in sweep.space.items():
        if not one.applies(values):
            continue
        stored = one.stored(usual.get(field))
        if stored is None:
            return None
        first[field], values[field] = stored, usual[field]
    return first


def _returns(trial: "Trial") -> dict[int, float]:
    stored = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    return {int(seed): float(value) for seed, value in stored.items()}


def _curves(trial: "FrozenTrial") -> dict[int, Curve]:
    """The learning curves of a trial, by seed."""
    return {
        int(name.removeprefix(CURVE)): curve
        for name, curve in trial.user_attrs.items()
        if name.startswith(CURVE)
    }

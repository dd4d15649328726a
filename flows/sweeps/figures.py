"""Figures of a sweep, as files: history, importances, and a slice for each field."""

import io
import warnings
from typing import TYPE_CHECKING, Any

from rlhf_core.sweep import Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEAST_TRIALS = 4
"""Trials that ended before importances mean anything."""
DOTS = 110


def importances(study: Study) -> dict[str, float]:
    """How much of what settings differ by is due to each field, by the path of the field.

    PED-ANOVA (Watanabe et al. 2023, https://arxiv.org/abs/2304.10255): the fields by which good
    trials differ most from all. Empty for too few trials, and of fields that not all trials have.
    """
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    ended = [one for one in study.settings() if one.ended and one.reason is None]
    common = [
        field
        for field in dict.fromkeys(field for one in ended for field in one.changes)
        if all(field in one.changes for one in ended)
        and len({str(one.changes[field]) for one in ended}) > 1
    ]
    if len(ended) < LEAST_TRIALS or not common:
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls it experimental.
        shares = get_param_importances(
            study.optuna, evaluator=PedAnovaImportanceEvaluator(), params=common
        )
    return {field: float(f"{value:.3g}") for field, value in shares.items()}


def drawn(study: Study) -> dict[str, bytes]:
    """Figures as PNG, by the path of their files."""
    import matplotlib

    matplotlib.use("Agg")
    from optuna.visualization import matplotlib as plots

    if not any(one.ended and one.reason is None for one in study.settings()):
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Optuna calls its figures experimental.
        name = "true return"
        files = {
            "sweep/history.png": _png(
                plots.plot_optimization_history(study.optuna, target_name=name)
            ),
            "sweep/slices.png": _png(plots.plot_slice(study.optuna, target_name=name)),
        }
    shares = importances(study)
    if shares:
        files["sweep/importances.png"] = _bars(shares)
    return files


def _bars(shares: dict[str, float]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 0.6 + 0.4 * len(shares)), layout="constrained")
    axes = figure.subplots()
    fields = sorted(shares, key=lambda field: shares[field])
    axes.barh(fields, [shares[field] for field in fields])
    axes.set_xlabel("importance")
    return _written(figure)


def _png(axes: Any) -> bytes:
    """The figure that an axes, or an array of them, is a part of."""
    first = axes if hasattr(axes, "figure") else axes.ravel()[0]
    return _written(first.figure)


def _written(figure: "Figure") -> bytes:
    import matplotlib.pyplot as plt

    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=DOTS, bbox_inches="tight")
    plt.close(figure)
    return content.getvalue()

"""Refusing an experiment that cannot fit into the memory of the machine, before it begins.

Each part of an experiment states how many bytes a run needs for it at the least, by the field that
decides: networks with their gradients, rollouts, buffers, copies of environments. What is stated is
a lower bound, so nothing is refused that could run.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rlhf_core.errors import ConfigurationError
from rlhf_core.sizes import COPY, row_bytes, value_bytes

if TYPE_CHECKING:
    from rlhf_core.experiment import Experiment

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container says how much it may use."""
UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
LABEL = 40
"""Bytes of one judgement: what was asked, who answered, what, how long it took, what it cost."""


def machine_memory() -> int:
    """Bytes that this process may use: of the machine, or of its container."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for place in map(Path, LIMITS):
        text = place.read_text().strip() if place.is_file() else ""
        memory = min(memory, int(text)) if text.isdecimal() else memory
    return memory


def check_memory(experiment: "Experiment") -> None:
    """Raise `ConfigurationError` where a run needs more memory than the machine has."""
    needed, memory = needs(experiment), machine_memory()
    total = sum(needed.values())
    if total <= memory:
        return
    field = max(needed, key=needed.__getitem__)
    beside = "" if needed[field] > memory else f", and {format_bytes(total)} with all the rest"
    raise ConfigurationError(
        f"{field}: expected a run that fits into the {format_bytes(memory)} of memory of this "
        f"machine, actual: at least {format_bytes(needed[field])} for this{beside}; "
        "choose a smaller one"
    )


def needs(experiment: "Experiment") -> dict[str, int]:
    """Bytes that a run needs at the least, by the field that decides."""
    environment = experiment.environment
    spaces = environment.spaces()
    copy = COPY + 3 * value_bytes(spaces.observation)
    plan = experiment.plan
    needed = {
        "environment.count": environment.count * copy,
        "evaluation.episodes": experiment.evaluation.episodes * copy,
        "budget.initial_steps": experiment.first_steps * row_bytes(spaces),
        "budget.labels": experiment.budget.labels * LABEL if plan.smallest_question else 0,
    }
    parts: tuple[tuple[str, Mapping[str, int]], ...] = (
        ("optimiser", experiment.optimiser.memory(environment)),
        ("feedback", experiment.feedback.memory(spaces)),
        ("annotator", experiment.annotator.memory(environment, plan.demonstrations)),
    )
    for section, stated in parts:
        needed |= {f"{section}.{field}": bytes_ for field, bytes_ in stated.items()}
    return needed


def format_bytes(count: int) -> str:
    """Bytes in the largest unit that they fill."""
    power = min((max(count, 1).bit_length() - 1) // 10, len(UNITS) - 1)
    whole, rest = divmod(count, 1024**power)
    if whole >= 10_000:
        return f"10^{len(str(whole)) - 1} {UNITS[power]}"
    return f"{whole + rest / 1024**power:.3g} {UNITS[power]}"

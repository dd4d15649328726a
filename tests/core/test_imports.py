"""Importing the library costs nothing that is not needed."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "module",
    [
        "rlhf_core",
        "rlhf_core.experiment",
        "rlhf_core.loop",
        "rlhf_core.agents",
        "rlhf_core.comparison.colours",
        "rlhf_core.comparison.assemble",
    ],
)
def test_importing_the_library_loads_nothing_heavy(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "heavy = {'torch', 'scipy.optimize', 'scipy.stats', 'stable_baselines3', 'sb3_contrib', "
        "'matplotlib', 'PIL', 'prefect', 'mlflow'}\n"
        "print(*sorted(heavy & set(sys.modules)))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []

"""A few faults at random moments; `benchmarks/faults.py` makes hundreds of them."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "faults.py"

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


def test_no_number_is_wrong_or_lost_after_random_faults() -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--faults", "3"], capture_output=True, text=True, check=False
    )
    # The first line tells the random seed.
    assert done.returncode == 0, done.stdout + done.stderr
    assert ": 0 with other numbers" in done.stdout

"""The benchmark of the label server in a short form."""

import json
import os
import subprocess
import sys

import pytest

from tests.labelling.server.processes import ROOT


@pytest.mark.faults
@pytest.mark.timeout(180)
def test_every_acknowledged_answer_is_there_exactly_once_after_a_kill() -> None:
    done = subprocess.run(
        [
            sys.executable, "benchmarks/labelling.py",
            "--annotators", "5", "--answers", "200", "--kills", "1", "--json",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures["problems"] == []
    assert figures["counted answers"] == 200
    assert figures["acknowledged answers with their revisions"] > 200, "some were revised"
    assert figures["acknowledged again (duplicates, retries)"] > 20, "some were sent twice"
    assert figures["attempts without an acknowledgement"] > 0, "the server was killed"

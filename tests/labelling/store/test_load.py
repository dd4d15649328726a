"""Many annotators in threads of several processes on one file: no answer lost, none doubled."""

import json
import sys
import time
from collections import Counter
from pathlib import Path
from subprocess import PIPE, Popen

from sqlalchemy import func, select

from rlhf_core.labelling.store import open_store
from rlhf_core.labelling.store.tables import answers
from tests.labelling.store import annotating
from tests.labelling.store.annotating import PROCESSES, THREADS
from tests.labelling.store.examples import SKIP, opened, people

QUESTIONS = 120
WANTED = 2


def test_threads_of_three_processes_lose_and_double_no_answer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/labels.db"
    store = open_store(url)
    campaign, batch = opened(store, QUESTIONS, answers_per_question=WANTED, lease_seconds=3600)
    people(store, campaign, PROCESSES * THREADS)
    began = time.monotonic()
    processes = [
        Popen(
            [sys.executable, "-m", annotating.__name__, url, str(campaign.id), str(place)],
            stdout=PIPE,
            text=True,
            cwd=Path(__file__).parents[3],
        )
        for place in range(PROCESSES)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    seconds = time.monotonic() - began
    assert [process.returncode for process in processes] == [0] * PROCESSES
    acknowledged = [tuple(entry) for output in outputs for entry in json.loads(output)]
    with store.database.reading() as connection:
        stored = connection.execute(select(answers.c.key, answers.c.id)).all()
        assert connection.scalar(select(func.count()).select_from(answers)) == len(stored)
    # Each key has one receipt, whoever sent it how often, and each receipt is an answer.
    assert set(acknowledged) == {tuple(row) for row in stored}
    assert len({key for key, _ in stored}) == len(stored) < len(acknowledged)
    assert store.progress(batch).complete == QUESTIONS
    taken = store.collect(batch)
    counts = Counter(one.question for one in taken)
    assert set(counts.values()) == {WANTED}
    assert len(counts) == QUESTIONS
    assert len({(one.question, one.annotator) for one in taken}) == len(taken)
    # Of those who skipped first and answered then, the answer counts in each order of arrival.
    assert SKIP not in [dict(one.answer) for one in taken]
    print(f"{len(acknowledged)} submissions in {seconds:.1f} s")
    store.close()

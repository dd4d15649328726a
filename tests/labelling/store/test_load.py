"""Many annotators in threads of several processes on one file: no answer lost, none doubled."""

import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import PIPE, Popen

from sqlalchemy import func, select

from rlhf_core.labelling.store import Annotator, LabelStore, Submission, open_store
from rlhf_core.labelling.store.tables import answers
from tests.labelling.store.examples import LEFT, RIGHT, SKIP, opened, people

PROCESSES, THREADS, QUESTIONS = 3, 20, 120
WANTED = 2


def annotate(store: LabelStore, annotator: Annotator) -> list[tuple[str, int]]:
    """Answer all that is offered, with repetitions and revisions out of order; the receipts."""
    rng = random.Random(annotator.number)
    receipts = []
    while items := store.offer(annotator, 2).items:
        for item in items:
            revisions = [
                Submission(f"{item.id}-{sequence}", item.id, sequence, answer)
                for sequence, answer in enumerate(rng.choice([[LEFT], [RIGHT], [SKIP, LEFT]]))
            ]
            for sent in rng.sample(revisions, len(revisions)):
                receipts.append((sent.key, store.submit(annotator, sent).id))
                if rng.random() < 0.1:
                    receipts.append((sent.key, store.submit(annotator, sent).id))
    return receipts


def main(url: str, campaign_id: int, place: int) -> None:
    """One process: a third of the annotators, each in a thread; prints all receipts."""
    store = open_store(url)
    mine = store.annotators(campaign_id)[place::PROCESSES]
    with ThreadPoolExecutor(THREADS) as threads:
        receipts = list(threads.map(lambda one: annotate(store, one), mine))
    store.close()
    print(json.dumps([entry for part in receipts for entry in part]))


def test_threads_of_three_processes_lose_and_double_no_answer(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/labels.db"
    store = open_store(url)
    campaign, batch = opened(store, QUESTIONS, answers_per_question=WANTED, lease_seconds=3600)
    people(store, campaign, PROCESSES * THREADS)
    began = time.monotonic()
    processes = [
        Popen(
            [sys.executable, "-m", __name__, url, str(campaign.id), str(place)],
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


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

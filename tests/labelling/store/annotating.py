"""A process whose threads are annotators. It imports little, so that it starts quickly."""

import json
import random
import sys
from concurrent.futures import ThreadPoolExecutor

from rlhf_core.labelling.store import Annotator, LabelStore, Submission, open_store

PROCESSES, THREADS = 3, 20
LEFT, RIGHT, SKIP = ({"choice": name} for name in ("left", "right", "skip"))


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


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

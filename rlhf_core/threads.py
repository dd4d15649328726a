"""What belongs to the whole process: torch's number of threads, and the global generators.

Two runs in two threads of one process would change each other's numbers through them. So whoever
sets either of them holds one lock for as long as it matters, and stages of two runs take turns.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

PROCESS_STATE = threading.RLock()
"""Held while torch's number of threads or a global generator is set."""


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let torch use this many threads inside the block; other runs of the process wait outside.

    For the small networks of control tasks one thread is the fastest, and several processes side by
    side do not fight for cores. Sums come out the same only with the same number of threads.
    """
    import torch

    with PROCESS_STATE:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)

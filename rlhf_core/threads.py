"""The number of CPU threads that torch uses."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limited(threads: int) -> Iterator[None]:
    """Let torch use this many threads inside the block.

    For the small networks of control tasks one thread is the fastest, and several runs side by
    side do not fight for cores. Sums come out the same only with the same number of threads.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

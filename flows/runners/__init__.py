"""Runners: where the runs of a comparison or of a sweep are played, and by how many at a time.

What travels to a runner is an experiment, the name of its cell and ids (`Job`); never a model, an
array or an environment. Each run is played by itself, with one thread, so every runner
gives the same numbers.
"""

from flows.runners.choice import KINDS, Choice, chosen, opened
from flows.runners.job import Job, RunFailedError, Runner, RunnerLeftError, WorkerLostError

__all__ = [
    "KINDS",
    "Choice",
    "Job",
    "RunFailedError",
    "Runner",
    "RunnerLeftError",
    "WorkerLostError",
    "chosen",
    "opened",
]

"""Writes the graph, the corpus and the first nodes of the random walks, for peers to learn from."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from rlhf_core.environments.sequences.random_walks import LONGEST, RandomWalks


def main() -> None:
    """Reads the command line and writes the arrays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, required=True, help="a file that ends in .npz")
    task = RandomWalks()
    np.savez(
        parser.parse_args().write,
        edges=task.edges,
        corpus=task.corpus(),
        first=task.prompts[:, LONGEST - 1],
        shortest=task.shortest,
    )


if __name__ == "__main__":
    main()

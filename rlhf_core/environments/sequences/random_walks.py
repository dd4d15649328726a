"""Walks on a random graph that shall reach a goal by the shortest way."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float, Int

from rlhf_core.environments.sequences.env import SequenceEnv
from rlhf_core.environments.sequences.task import TextTask
from rlhf_core.errors import ConfigurationError

NODES, EDGE_PROBABILITY, LONGEST, GOAL, WALKS = 21, 0.1, 10, 0, 1000
GRAPH_SEED = 1002


class RandomWalks(TextTask):
    """The walks of one graph. A token is a node, and the goal ends a walk."""

    def __init__(self, graph_seed: int = GRAPH_SEED) -> None:
        if graph_seed < 0:
            raise ConfigurationError(
                f"environment.options: expected a graph_seed of at least 0, actual: {graph_seed}"
            )
        self.vocabulary = tuple(str(node) for node in range(NODES))
        self.longest = LONGEST
        self.ends = np.arange(NODES) == GOAL
        self.edges = random_graph(graph_seed)
        self._seed = graph_seed
        self.shortest = shortest_walks(self.edges)
        starts = np.flatnonzero((self.shortest < LONGEST) & ~self.ends)
        if not len(starts):
            raise ConfigurationError(
                "environment.options: expected a graph_seed whose graph has a way to the goal, "
                f"actual: {graph_seed}"
            )
        self.prompts = np.full((len(starts), LONGEST), NODES)
        self.prompts[:, -1] = starts

    def score(self, texts: Int[np.ndarray, "n T"]) -> Float[np.ndarray, " n"]:
        """Return (10 - length) / (10 - shortest), 0 for a walk off the edges or without the goal.

        Lengths count nodes, the first one included.
        """
        walked = texts != NODES
        length = walked.sum(axis=1)
        rows = np.arange(len(texts))
        start = texts[rows, LONGEST - length]
        before, after = texts[:, :-1], texts[:, 1:]
        # The last row and column stand for padding, from which every step is free.
        known = np.pad(self.edges, (0, 1), constant_values=True)
        valid = known[before, after].all(axis=1) & (texts[:, -1] == GOAL)
        longest = np.maximum(LONGEST - self.shortest[start], 1)
        return np.where(valid, (LONGEST - length) / longest, 0.0)

    def corpus(self) -> Int[np.ndarray, "texts T"]:
        """Return 1,000 walks along random edges, up to the goal or to 10 nodes."""
        rng = np.random.default_rng(self._seed)
        nodes = rng.integers(1, NODES, size=WALKS)
        walks = [nodes]
        walking = np.ones(WALKS, dtype=bool)
        for _ in range(LONGEST - 1):
            walking = walking & (nodes != GOAL)
            keys = rng.random((WALKS, NODES)) * self.edges[nodes % NODES]
            nodes = np.where(walking, keys.argmax(axis=1), NODES)
            walks.append(nodes)
        texts = np.stack(walks, axis=1)
        # Padding stands before the walk, as in observations.
        shift = (texts != NODES).sum(axis=1, keepdims=True)
        return np.take_along_axis(texts, (np.arange(LONGEST) + shift) % LONGEST, axis=1)

    def written(self, tokens: Sequence[int]) -> str:
        """Return the nodes with arrows between them; a step without an edge is struck out."""
        words = [str(token) for token in tokens[:1]]
        for before, after in pairwise(tokens):
            words.append(f"{'→' if self.edges[before, after] else '↛'} {after}")
        return " ".join(words)


class RandomWalksEnv(SequenceEnv):
    """trlx's random walks (https://github.com/CarperAI/trlx, examples/randomwalks).

    ===========  ===================================================================
    observation  the walk so far: 10 tokens, the newest last; 0 to 20 are nodes, 21 is
                 the padding on the left
    action       the next node, 0 to 20
    reward       at the end (10 - length) / (10 - shortest), from 0 to 1, where length
                 and shortest count the nodes of this walk and of the shortest one;
                 0 for a walk that leaves the edges or does not reach node 0
    start        one of the nodes from which node 0 can be reached, all as likely
    end          terminated at node 0, the goal, or at 10 nodes
    ===========  ===================================================================

    The graph has 21 nodes, and from each to each other an edge with probability 0.1. Option
    `graph_seed` draws another one. The corpus is 1,000 random walks on it.
    """

    def __init__(self, graph_seed: int = GRAPH_SEED, render_mode: str | None = None) -> None:
        super().__init__(RandomWalks(graph_seed), render_mode)


def random_graph(seed: int) -> Bool[np.ndarray, "nodes nodes"]:
    """Draw edges until every node has one that leaves it; none leads from a node to itself."""
    rng = np.random.RandomState(seed)
    while True:
        edges = rng.rand(NODES, NODES) > 1 - EDGE_PROBABILITY
        np.fill_diagonal(edges, False)
        if edges.any(axis=1).all():
            return edges


def shortest_walks(edges: Bool[np.ndarray, "nodes nodes"]) -> Int[np.ndarray, " nodes"]:
    """Return the nodes of the shortest walk from each node to the goal, at most `LONGEST`."""
    length = np.full(len(edges), LONGEST)
    length[GOAL] = 1
    for _ in range(LONGEST):
        onward = np.where(edges, length, LONGEST).min(axis=1)
        length = np.minimum(length, onward + 1)
    return length

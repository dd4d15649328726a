"""Environments in which an episode is a text."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from rlhf_core.environments import Environment
from rlhf_core.environments.batched import BatchedEnv
from rlhf_core.environments.episodes import restart, seed_start
from rlhf_core.environments.sequences.random_walks import RandomWalks, shortest_walks
from rlhf_core.environments.sequences.sentiment import Sentiment
from rlhf_core.environments.sequences.task import padded
from rlhf_core.errors import ConfigurationError
from rlhf_core.labelling.clips import Text
from tests.core.test_batched import together

WALKS, SENTIMENT = "rlhf/RandomWalks-v0", "rlhf/Sentiment-v0"


@pytest.fixture(params=[WALKS, SENTIMENT])
def id(request: pytest.FixtureRequest) -> str:
    if request.param == SENTIMENT:
        pytest.importorskip("vaderSentiment")
    return str(request.param)


def test_gymnasium_accepts_them(id: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(id, render_mode="rgb_array").unwrapped)


def test_the_batch_does_what_single_environments_do(id: str) -> None:
    assert together(Environment(id=id), steps=40) > 0


def test_a_batch_is_also_made_by_gymnasium(id: str) -> None:
    batch = gymnasium.make_vec(id, num_envs=3, vectorization_mode="vector_entry_point")
    assert isinstance(batch.unwrapped, BatchedEnv)
    rows, _ = batch.reset(seed=[1, 1, 2])
    np.testing.assert_array_equal(rows[0], rows[1])


def test_with_a_fixed_horizon_they_are_stepped_one_by_one(id: str) -> None:
    environment = Environment(id=id, count=2, fixed_horizon=20)
    assert environment.is_stepped_one_by_one()
    assert environment.try_out() is None


def test_they_are_written_and_drawn(id: str) -> None:
    env = gymnasium.make(id, render_mode="ansi").unwrapped
    first, _ = env.reset(seed=0)
    text = env.render()
    assert isinstance(text, str)
    assert env.text(first) == text  # type: ignore[attr-defined]
    drawn: Any = gymnasium.make(id, render_mode="rgb_array").unwrapped
    restart(drawn, seed_start(0))
    picture = drawn.render()
    assert picture.dtype == np.uint8
    assert picture.min() < 100 < picture.max()
    shown = drawn.clip_view(np.stack([first, first]), np.zeros(1))
    assert shown == Text(text)


# 0 is the goal; 1 -> 0, 2 -> 1, 3 -> 2 and 3 -> 0.
EDGES = np.zeros((4, 4), dtype=bool)
EDGES[[1, 2, 3, 3], [0, 1, 2, 0]] = True


def test_shortest_walks_are_counted_in_nodes() -> None:
    assert shortest_walks(EDGES).tolist() == [1, 2, 3, 2]


def test_walks_are_scored_by_their_length_and_zero_off_the_edges() -> None:
    task = RandomWalks()
    task.edges = np.zeros((21, 21), dtype=bool)
    task.edges[:4, :4] = EDGES
    task.shortest = shortest_walks(task.edges)
    walks = [
        [3, 0],  # the shortest
        [3, 2, 1, 0],  # two nodes more than the shortest
        [2, 0],  # no such edge
        [3, 2, 1],  # not at the goal
    ]
    np.testing.assert_allclose(task.score(padded(walks, 10, 21)), [1, 6 / 8, 0, 0])
    assert task.written([3, 2, 0]) == "3 → 2 ↛ 0"


def test_the_corpus_of_walks_is_valid_and_as_good_as_that_of_trlx() -> None:
    task = RandomWalks()
    corpus = task.corpus()
    assert corpus.shape == (1000, 10)
    for before, after in zip(corpus[:, :-1].ravel(), corpus[:, 1:].ravel(), strict=True):
        assert before == 21 or task.edges[before, after]
    # Ours are other walks on the same graph; those of trlx score 0.790 at this seed.
    assert abs(task.score(corpus).mean() - 0.79) < 0.02


def test_a_walk_ends_at_the_goal_or_at_ten_nodes() -> None:
    env = gymnasium.make(WALKS)
    env.reset(seed=0)
    steps = [env.step(5) for _ in range(9)]
    assert [step[2] for step in steps] == [False] * 8 + [True]
    assert [step[1] for step in steps] == [0.0] * 9
    env.reset(seed=0)
    assert env.step(0)[2]


def test_sentences_are_scored_by_vader_and_end_at_a_full_stop() -> None:
    vader = pytest.importorskip("vaderSentiment.vaderSentiment")
    task = Sentiment()
    texts = task.corpus()[:20]
    analyzer = vader.SentimentIntensityAnalyzer()
    sentences = [task.written(row[row != task.padding].tolist()) for row in texts]
    scores = [analyzer.polarity_scores(sentence)["compound"] for sentence in sentences]
    np.testing.assert_allclose(task.score(texts), scores)
    assert all(sentence.endswith(".") for sentence in sentences)
    assert 300 <= len(task.corpus()) <= 400
    whole = task.score(task.corpus())
    assert (whole > 0.2).mean() > 0.3
    assert (whole < -0.2).mean() > 0.3


def test_sentences_of_ones_own(tmp_path: Path) -> None:
    pytest.importorskip("vaderSentiment")
    file = tmp_path / "mine.txt"
    file.write_text("My cat is good.\nMy dog is bad.\n")
    task = Sentiment(str(file))
    assert task.vocabulary == (".", "bad", "cat", "dog", "good", "is", "my")
    assert [task.written(row[row != 7].tolist()) for row in task.prompts] == ["my cat", "my dog"]


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "expected sentences to be a text file"), ("Good.\n", "expected sentences of 3 to 15")],
)
def test_wrong_sentences_are_refused(tmp_path: Path, content: str | None, told: str) -> None:
    pytest.importorskip("vaderSentiment")
    file = tmp_path / "mine.txt"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match=told):
        Sentiment(str(file))


def test_without_vader_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "rlhf_core.environments.sequences.sentiment.find_spec"
    monkeypatch.setattr(path, lambda name: None)
    with pytest.raises(ConfigurationError, match=r"pip install 'rlhf-flows\[language\]'"):
        Environment(id=SENTIMENT).spaces()


@pytest.mark.parametrize("seed", [-1])
def test_a_wrong_seed_of_the_graph_is_refused(seed: int) -> None:
    with pytest.raises(ConfigurationError, match="expected a graph_seed of at least 0"):
        Environment(id=WALKS, options={"graph_seed": seed}).spaces()

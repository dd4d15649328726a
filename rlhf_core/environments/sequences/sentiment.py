"""Sentences that go on from their first words, scored by a lexicon of sentiment."""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from rlhf_core.environments.sequences.env import SequenceEnv
from rlhf_core.environments.sequences.task import TextTask, padded
from rlhf_core.errors import ConfigurationError

SENTENCES = Path(__file__).with_name("sentences.txt")
PROMPT_WORDS = 2
LONGEST = 16
"""Tokens of a sentence at the most: words, and the full stop."""
END = "."


class Sentiment(TextTask):
    """The sentences of a corpus: a token is a word, and a full stop ends a sentence."""

    def __init__(self, sentences: str | None = None) -> None:
        if find_spec("vaderSentiment") is None:
            raise ConfigurationError(
                "environment.id: 'rlhf/Sentiment-v0' needs vaderSentiment, which is not "
                "installed; pip install 'rlhf-flows[language]'"
            )
        lines = _sentences(SENTENCES if sentences is None else Path(sentences))
        self.vocabulary = tuple(sorted({word for line in lines for word in line}))
        number = {word: token for token, word in enumerate(self.vocabulary)}
        texts = [[number[word] for word in line] for line in lines]
        self.longest = LONGEST
        self.ends = np.array([word == END for word in self.vocabulary])
        self._texts = padded(texts, self.longest, self.padding)
        starts = sorted({tuple(text[:PROMPT_WORDS]) for text in texts})
        self.prompts = padded(starts, self.longest, self.padding)

    def score(self, texts: Int[np.ndarray, "n T"]) -> Float[np.ndarray, " n"]:
        """Return the compound score of VADER, from -1 (negative) to 1 (positive)."""
        sentences = [self.written(row[row != self.padding].tolist()) for row in texts]
        return np.array([compound(sentence) for sentence in sentences])

    def corpus(self) -> Int[np.ndarray, "texts T"]:
        """Return the sentences."""
        return self._texts

    def written(self, tokens: Sequence[int]) -> str:
        """Return the words with blanks between them."""
        return " ".join(self.vocabulary[token] for token in tokens).replace(f" {END}", END)


class SentimentEnv(SequenceEnv):
    """Sentences about films, food and journeys, whose first two words are given.

    ===========  ===================================================================
    observation  the sentence so far: 16 tokens, the newest last; 0 to V - 1 are the words
                 of the corpus in alphabetic order, V is the padding on the left
    action       the next word, 0 to V - 1
    reward       at the end the compound score of VADER (Hutto and Gilbert 2014,
                 https://github.com/cjhutto/vaderSentiment), from -1 to 1; a lexicon
                 that works offline
    start        the first two words of a sentence of the corpus, all as likely
    end          terminated at a full stop, or at 16 tokens
    ===========  ===================================================================

    The corpus is `sentences.txt` beside this file. Option `sentences` names another one: one
    sentence a line, words separated by blanks, each line ending in a full stop.
    """

    def __init__(self, sentences: str | None = None, render_mode: str | None = None) -> None:
        super().__init__(Sentiment(sentences), render_mode)


@cache
def compound(sentence: str) -> float:
    """Return VADER's compound score of a sentence."""
    return float(_analyzer().polarity_scores(sentence)["compound"])  # type: ignore[attr-defined]


@cache
def _analyzer() -> object:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()


@cache
def _sentences(path: Path) -> tuple[tuple[str, ...], ...]:
    """Return the words of each line of a file, lower case, the full stop a word of its own."""
    try:
        lines = path.read_text(encoding="utf-8").lower().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"environment.options: expected sentences to be a text file, actual: {path} ({error})"
        ) from error
    sentences = tuple((*line.rstrip(" .").split(), END) for line in lines if line.strip(" ."))
    wrong = [line for line in sentences if not PROMPT_WORDS + 1 < len(line) <= LONGEST]
    if wrong or not sentences:
        raise ConfigurationError(
            f"environment.options: expected sentences of {PROMPT_WORDS + 1} to {LONGEST - 1} words "
            f"in {path}, actual: '{' '.join(wrong[0]) if wrong else ''}'"
        )
    return sentences

"""Rows of tokens as environments give them and as models read them."""

import numpy as np
import pytest

from rlhf_core.environments import Environment
from rlhf_core.errors import UnsupportedSpaceError
from rlhf_core.language.tokens import Texts, left_aligned, texts_of, vocabulary_of
from rlhf_core.optimisers import OPTIMISERS
from tests.core.examples import LINE

PAD = 9


def test_rows_are_moved_to_begin_with_their_first_token() -> None:
    rows, lengths = left_aligned(np.array([[PAD, 4, 5], [1, 2, 3], [PAD, PAD, 6]]), PAD)
    assert rows.tolist() == [[4, 5, 0], [1, 2, 3], [6, 0, 0]]
    assert lengths.tolist() == [2, 3, 1]


def test_prompts_and_padding_were_not_chosen() -> None:
    first = np.array([[PAD, PAD, PAD, 1], [PAD, PAD, 2, 3]])
    last = np.array([[PAD, 1, 5, 6], [PAD, 2, 3, 7]])
    texts = texts_of(first, last, PAD)
    assert texts.tokens.tolist() == [[1, 5, 6, 0], [2, 3, 7, 0]]
    assert texts.chosen.tolist() == [[True, True, False], [False, True, False]]
    short = texts.take(np.array([1]))
    assert short.tokens.tolist() == [[2, 3, 7]]
    assert short.chosen.tolist() == [[False, True]]
    assert isinstance(short, Texts)


def test_tokens_are_read_from_the_spaces() -> None:
    assert vocabulary_of(Environment(id="rlhf/RandomWalks-v0").spaces(), "grpo") == (21, 10)


@pytest.mark.parametrize("kind", ["grpo", "rloo", "dpo"])
def test_other_environments_are_refused_in_one_line(kind: str) -> None:
    with pytest.raises(UnsupportedSpaceError, match=f"'{kind}' expected an environment whose epis"):
        OPTIMISERS.get(kind)().check_spaces(LINE)

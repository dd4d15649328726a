"""Torch's threads are limited inside the block and put back after it."""

import pytest
import torch

from rlhf_core.threads import limited


def test_threads_are_put_back_even_after_an_error() -> None:
    before = torch.get_num_threads()
    with limited(2):
        assert torch.get_num_threads() == 2
        with limited(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 2
    with pytest.raises(KeyError), limited(3):
        raise KeyError
    assert torch.get_num_threads() == before

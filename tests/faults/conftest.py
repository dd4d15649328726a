"""The command and its shared home, as the tests of flows have them."""

from tests.flows.conftest import rlhf, shared_home

__all__ = ["rlhf", "shared_home"]

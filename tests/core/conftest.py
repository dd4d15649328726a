"""Fixtures of the library's tests."""

import hypothesis
import jaxtyping
import pytest

# The same examples each time, and no clock.
hypothesis.settings.register_profile("tests", deadline=None, derandomize=True, database=None)
hypothesis.settings.load_profile("tests")


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library as its users run it: no annotation is executed, only its own checks are."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)

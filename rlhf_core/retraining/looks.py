"""How an error probability is shared out among repeated tests."""

from rlhf_core.errors import ConfigurationError


def level_of_look(level: float, look: int) -> float:
    """Level of one of any number of tests that together reject a true hypothesis with `level`.

        level / (k (k + 1)),  k = 1, 2, ...

    which adds up to `level`, whatever the dependence between the tests (Bonferroni; the same shares
    as in `rlhf_core.guard`). Lan and DeMets 1983, https://doi.org/10.1093/biomet/70.3.659, call it
    alpha spending.

    Args:
        level: probability of any false rejection, in (0, 1).
        look: k, the number of this test, from 1.

    Raises:
        ConfigurationError: the look is not 1 or more.
    """
    if look < 1:
        raise ConfigurationError(f"look: expected 1 or more, actual: {look}")
    return level / (look * (look + 1))

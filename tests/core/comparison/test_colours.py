"""Colours: fixed for what is known, stable for what is not."""

from rlhf_core.comparison.colours import COLOURS, colour_of


def test_a_known_strategy_has_the_colour_of_the_table() -> None:
    assert colour_of("preference") == "#1654d0"
    assert all(colour_of(strategy) == colour for strategy, colour in COLOURS.items())
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_an_unknown_strategy_has_one_colour_for_ever() -> None:
    # By hand: the first 4 bytes of sha256("my_strategy") are the hue.
    assert colour_of("my_strategy") == "#3ab234"
    assert colour_of("my_strategy") != colour_of("your_strategy")

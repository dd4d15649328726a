"""One fixed colour for each strategy, the same in every figure and in the tracking server.

The colours in `COLOURS` lie at least 21 apart (CIE76, on a scale where 2.3 is just
noticeable) for normal sight, deuteranopia and protanopia (simulated after Machado et al. 2009,
https://doi.org/10.1109/TVCG.2009.113). Each has a contrast of at least 2.5 on white and on the dark
background of the report. Optimisers of one strategy share its colour and differ in marker and line.
"""

import colorsys
import hashlib
from collections.abc import Mapping
from types import MappingProxyType

COLOURS: Mapping[str, str] = MappingProxyType(
    {
        "preference": "#1654d0",
        "direct_reward": "#d03f00",
        "inverse_rl": "#03bb81",
        "mixed": "#e97ecb",
        "true_reward": "#585858",
        "constant": "#a1a752",
        "random_network": "#00a1fb",
        "shuffled_labels": "#de9500",
        "sign_flipped": "#90422c",
    }
)
"""Hexadecimal colour by the kind of the strategy."""


def colour_of(strategy: str) -> str:
    """Colour of a strategy as `#rrggbb`; that of any other is a function of its name."""
    if strategy in COLOURS:
        return COLOURS[strategy]
    digest = hashlib.sha256(strategy.encode()).digest()
    hue = int.from_bytes(digest[:4], "big") / 2**32
    channels = colorsys.hls_to_rgb(hue, 0.45, 0.55)
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in channels)

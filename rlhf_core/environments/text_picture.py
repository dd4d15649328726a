"""Text as a picture, for films and for the clips that people look at."""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from jaxtyping import UInt8

MARGIN, LINE_HEIGHT, LETTER_HEIGHT, LETTER_WIDTH = 10, 16, 13, 7
"""Pixels around the text, from one line to the next, and of a letter."""
INK, PAPER = (32, 32, 32), (250, 250, 246)


def picture(
    lines: Sequence[str], width: int = 480, height: int = 360
) -> UInt8[np.ndarray, "height width 3"]:
    """Draw the last lines that have room, long ones broken.

    Args:
        lines: of the text.
        width: of the picture, in pixels.
        height: of the picture, in pixels.
    """
    from PIL import Image, ImageDraw, ImageFont

    letters, room = (width - 2 * MARGIN) // LETTER_WIDTH, (height - 2 * MARGIN) // LINE_HEIGHT
    broken = [part for line in lines for part in wrap(line, letters, subsequent_indent="   ")]
    image = Image.new("RGB", (width, height), PAPER)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(LETTER_HEIGHT)
    for row, line in enumerate(broken[-room:]):
        pen.text((MARGIN, MARGIN + row * LINE_HEIGHT), line, fill=INK, font=font)
    return np.asarray(image).copy()

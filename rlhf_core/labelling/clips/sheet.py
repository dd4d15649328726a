"""Films as one picture: a sheet of all frames, from which a page draws any moment at once.

An animated picture cannot be stopped, moved or slowed down by a page in all browsers. A sheet can,
and two of them can be shown in step.
"""

from io import BytesIO
from math import ceil, floor, isqrt, sqrt

import numpy as np
from jaxtyping import UInt8
from PIL import Image

WIDTH = 320
"""Pixels of a frame."""
PIXELS = 12_000_000
"""Of a whole sheet; telephones refuse pictures of more than 16 million."""
FRAMES = 900
"""In a sheet, at the most; of a longer clip every second, third, ... frame is shown."""
QUALITY = 72
GREY = 128
FADED = 0.55
"""Share of grey in the frames after the end of an episode."""


def thinning(rows: int) -> int:
    """Steps between two frames of a clip with so many moments."""
    return ceil(rows / FRAMES)


def columns(frames: int) -> int:
    """Frames in a row of a sheet: the least square that holds them."""
    return isqrt(max(frames, 1) - 1) + 1


def frame_width(frames: int) -> int:
    """Pixels of a frame, so that a sheet of so many frames is small enough."""
    return min(WIDTH, floor(sqrt(PIXELS) / columns(frames)))


def faded(
    frames: UInt8[np.ndarray, "rows height width 3"], end: int
) -> UInt8[np.ndarray, "rows height width 3"]:
    """The frames with those after row `end` greyed: the episode is over, and its end stands."""
    shown = frames.copy()
    after = frames[end + 1 :].astype(np.float32)
    shown[end + 1 :] = (after * (1 - FADED) + GREY * FADED).astype(np.uint8)
    return shown


def images(
    observations: UInt8[np.ndarray, "rows first second third"], width: int
) -> UInt8[np.ndarray, "rows height width 3"]:
    """Observations that are pictures, channels first or last, as frames of this width."""
    last = observations
    if observations.shape[1] < observations.shape[3]:
        last = observations.transpose(0, 2, 3, 1)
    frames = []
    for row in last:
        picture = Image.fromarray(np.ascontiguousarray(np.broadcast_to(row, (*row.shape[:2], 3))))
        height = max(1, round(picture.height * width / picture.width))
        # Small pictures stay sharp squares.
        frames.append(np.asarray(picture.resize((width, height), Image.Resampling.NEAREST)))
    return np.stack(frames)


def sheet(frames: UInt8[np.ndarray, "rows height width 3"]) -> bytes:
    """Frames as one WebP picture, `columns` of them in a row."""
    count, height, width = frames.shape[:3]
    across = columns(count)
    down = ceil(count / across)
    whole = np.zeros((down * across, height, width, 3), dtype=np.uint8)
    whole[:count] = frames
    # The empty places repeat the last frame, which costs less than an edge to black.
    whole[count:] = frames[-1]
    grid = whole.reshape(down, across, height, width, 3).transpose(0, 2, 1, 3, 4)
    buffer = BytesIO()
    picture = Image.fromarray(grid.reshape(down * height, across * width, 3))
    picture.save(buffer, format="WEBP", quality=QUALITY, method=4)
    return buffer.getvalue()

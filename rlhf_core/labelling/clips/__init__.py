"""Clips as people see them: films, plots, and what environments say of themselves.

`describe` tells what a clip will look like, `render` draws it, and `Cache` keeps what was drawn.
An environment shows its clips in its own way through `clip_view` or `register_view`
(`rlhf_core.labelling.clips.views`).
"""

from rlhf_core.labelling.clips.cache import Cache
from rlhf_core.labelling.clips.media import ClipView, Media, View
from rlhf_core.labelling.clips.rendering import describe, render
from rlhf_core.labelling.clips.views import (
    Grid,
    Html,
    Item,
    Slate,
    Text,
    register_view,
    unregister_view,
)

__all__ = [
    "Cache", "ClipView", "Grid", "Html", "Item", "Media", "Slate", "Text", "View", "describe",
    "register_view", "render", "unregister_view",
]  # fmt: skip

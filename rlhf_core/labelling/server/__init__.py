"""The label server: what the pages call, over HTTP.

`create_app` makes the application and `serve` runs it. Each call passes the guard (`guard`: names,
origins, rates, sizes), then a route; who calls is known by a session in a cookie (`sessions`).
"""

from rlhf_core.labelling.server.app import create_app
from rlhf_core.labelling.server.clip_source import ClipSource, EnvironmentClips
from rlhf_core.labelling.server.serving import Address, serve, server_of, serving
from rlhf_core.labelling.server.settings import (
    SECRET_VARIABLE,
    Limits,
    Rate,
    ServerSettings,
    is_loopback,
    with_secret,
)

__all__ = [
    "SECRET_VARIABLE", "Address", "ClipSource", "EnvironmentClips", "Limits", "Rate",
    "ServerSettings", "create_app", "is_loopback", "serve", "server_of", "serving", "with_secret",
]  # fmt: skip

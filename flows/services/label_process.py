"""The process that a home's label server runs in."""

import os
import socket
import sys

from flows.services.home_server import leave_when_unused
from flows.services.label_server import owner_secret
from tasks.home import Home
from tasks.people import labels_of


def serve(home: Home, listening: socket.socket) -> None:
    """Run the server in this process until nobody uses it."""
    os.umask(0o077)
    from pydantic import SecretStr

    from rlhf_core.labelling.server import EnvironmentClips, ServerSettings, server_of

    settings = ServerSettings(
        port=listening.getsockname()[1],
        secret=SecretStr(owner_secret(home)),
        cache=home.folder("labelling") / "clips",
    )
    with labels_of(home) as labels:
        server = server_of(labels, EnvironmentClips(), settings)
        leave_when_unused(home, "labelling", server)
        server.run(sockets=[listening])


if __name__ == "__main__":
    serve(Home(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))

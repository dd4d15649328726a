"""The process that a home's Prefect server runs in."""

import os
import socket
import sys

from flows.services.credentials import api_secret
from flows.services.gateway import Gateway, local_hosts
from flows.services.home_server import leave_when_unused
from tasks.home import Home


def serve(home: Home, listening: socket.socket) -> None:
    """Run the server in this process until nobody uses it."""
    os.umask(0o077)
    port: int = listening.getsockname()[1]
    secret = api_secret(home)
    # Prefect reads them when it is imported.
    os.environ["PREFECT_SERVER_API_AUTH_STRING"] = secret
    origins = ",".join(sorted(f"http://{host}" for host in local_hosts(port)))
    os.environ["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] = origins
    import uvicorn
    from prefect.server.api.server import create_app

    # Uvicorn closes connections that are still open when it has to leave, and does not wait.
    gateway = Gateway(create_app(), home, secret, port)
    config = uvicorn.Config(gateway, log_level="warning", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    leave_when_unused(home, "prefect", server)
    server.run(sockets=[listening])


if __name__ == "__main__":
    serve(Home(sys.argv[1]), socket.socket(fileno=int(sys.argv[2])))

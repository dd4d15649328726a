"""The process that the MLflow page of `rlhf ui` runs in: one process, gone with its parent.

Addresses come by the environment, where other users of the machine cannot read them, and standard
input is a pipe from the parent: it ends when the parent does, however that ends. (`mlflow server`
shows the address of its database on its command line, runs its workers as further processes, and
outlives whoever started it.)
"""

import os
import socket
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

from tasks.tracking.narrow import styled

STORE = "RLHF_PAGE_STORE"
"""Variable with the address of the tracking store."""
ASSISTANT = "/mlflow/assistant"
"""What the paths of MLflow's assistant contain."""
ARTIFACTS = "RLHF_PAGE_ARTIFACTS"
"""Variable with the place of the artifacts."""


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # Returns when nobody holds the other end any more.
    os._exit(0)


def _without_assistant(app: "ASGIApp") -> "ASGIApp":
    """MLflow without its assistant, which runs commands on this machine for whoever asks it."""
    from starlette.responses import PlainTextResponse

    async def guarded(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] == "http" and ASSISTANT in scope["path"]:
            refusal = PlainTextResponse("MLflow's assistant is switched off here", 404)
            await refusal(scope, receive, send)
        else:
            await app(scope, receive, send)

    return guarded


def serve(listening: socket.socket) -> None:
    """Run MLflow's server in this process until its parent ends."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.umask(0o077)
    store, artifacts = os.environ[STORE], os.environ[ARTIFACTS]
    # Background jobs would be further processes, and a page of runs needs none.
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    from mlflow.server import constants
    from mlflow.server.handlers import initialize_backend_stores

    # What `mlflow server` hands to its workers.
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = store
    os.environ[constants.REGISTRY_STORE_URI_ENV_VAR] = store
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = artifacts
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    initialize_backend_stores(store, store, artifacts)
    import uvicorn
    from mlflow.server.fastapi_app import app

    page = styled(_without_assistant(app))
    config = uvicorn.Config(page, log_level="warning", timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

"""The process that the MLflow page of `rlhf ui` runs in: one process, which ends with its parent.

Addresses come by the environment, where other users of the machine cannot read them, and standard
input is a pipe from the parent: it ends when the parent does, however that ends. (`mlflow server`
shows the address of its database on its command line, runs its workers as further processes, and
outlives whoever started it.)
"""

import os
import socket
import sys
import threading

from tasks.tracking.adapted_page import adapted

STORE = "RLHF_PAGE_STORE"
"""Variable with the address of the tracking store."""
ARTIFACTS = "RLHF_PAGE_ARTIFACTS"
"""Variable with the place of the artifacts."""


def _end_with_parent() -> None:
    os.read(sys.stdin.fileno(), 1)  # Returns when the parent has ended.
    os._exit(0)


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

    page = adapted(app)
    config = uvicorn.Config(page, log_level="warning", timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))

"""The label server in a process of its own, which a test can kill.

python -m tests.labelling.server.serve_folder FOLDER PORT [URL]
"""

import logging
import sys
from pathlib import Path

from pydantic import SecretStr

from rlhf_core.labelling.server import EnvironmentClips, ServerSettings, serve
from rlhf_core.labelling.store import open_store

SECRET = "the secret of the owner"


def main(folder: Path, port: int, url: str) -> None:
    settings = ServerSettings(port=port, secret=SecretStr(SECRET), cache=folder / "clips")
    serve(open_store(url), EnvironmentClips(), settings, lambda address: None)


if __name__ == "__main__":
    # Everything that is logged is written, so that a test can look for secrets.
    logging.basicConfig(level=logging.DEBUG)
    place = Path(sys.argv[1])
    main(place, int(sys.argv[2]), sys.argv[3] if sys.argv[3:] else f"sqlite:///{place}/labels.db")

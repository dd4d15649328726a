"""Makes one virtual environment for each peer, so that their pins cannot disturb each other."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MARKER = "requirements.installed"

# The first entry of a peer is installed on its own: torch decides which build of itself is taken.
REQUIREMENTS: dict[str, tuple[str, ...]] = {
    "imitation": (
        "torch==2.13.0",
        "numpy==1.26.4",
        "gymnasium==0.29.1",
        "stable-baselines3==2.2.1",
        "seals==0.2.1",
        "imitation==1.0.1",
    ),
    "sb3": (
        "torch==2.13.0",
        "numpy==2.4.6",
        "gymnasium[classic-control]==1.4.0",
        "stable-baselines3==2.9.2",
    ),
    "sbx": (
        "torch==2.13.0",
        "numpy==2.4.6",
        "gymnasium[classic-control]==1.4.0",
        "stable-baselines3==2.9.2",
        "jax==0.10.2",
        "flax==0.12.8",
        "optax==0.2.8",
        "tfp-nightly==0.26.0.dev20261027",
        "sbx-rl==0.28.0",
        "mujoco==3.3.7",
    ),
    "evotorch": (
        "torch==2.13.0",
        "numpy==2.4.6",
        "gymnasium==1.4.0",
        "ray==2.60.0",
        "evotorch==0.6.1",
    ),
    "trl": ("torch==2.13.0", "numpy==2.4.6", "transformers==5.24.0", "trl==1.16.0"),
    "pycma": ("numpy==2.4.6", "gymnasium==1.4.0", "cma==4.5.0"),
}


def folder() -> Path:
    """Returns the folder that holds the environments: RLHF_PEERS, or .peers in the repository."""
    return Path(os.environ.get("RLHF_PEERS", REPOSITORY / ".peers"))


def interpreter(name: str) -> Path:
    """Returns the Python interpreter of one peer."""
    return folder() / name / "bin" / "python"


def make(name: str) -> bool:
    """Makes the environment of one peer and returns False when it was there already."""
    requirements = REQUIREMENTS[name]
    place = folder() / name
    marker = place / MARKER
    wanted = "\n".join(requirements) + "\n"
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return False
    if place.exists():
        shutil.rmtree(place)
    venv.create(place, with_pip=True)
    install = [str(interpreter(name)), "-m", "pip", "install", "--quiet"]
    subprocess.run([*install, requirements[0]], check=True)
    subprocess.run([*install, *requirements], check=True)
    marker.write_text(wanted, encoding="utf-8")
    return True


def main() -> None:
    """Makes the environments named on the command line, or all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(REQUIREMENTS))
    names: list[str] = parser.parse_args().names or list(REQUIREMENTS)
    unknown = sorted(set(names) - set(REQUIREMENTS))
    if unknown:
        parser.error(f"unknown peer: {', '.join(unknown)}")
    for name in names:
        made = make(name)
        print(f"{name}: {'made' if made else 'already there'} ({interpreter(name)})")


if __name__ == "__main__":
    main()

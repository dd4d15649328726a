"""A served policy needs what its model says it needs, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rlhf_core.environments import Environment
from rlhf_core.language.optimiser import LanguageOptimiser
from rlhf_core.optimisers import OPTIMISERS
from rlhf_core.optimisers.recurrent_ppo import RecurrentPPO
from rlhf_core.packing import pack
from tasks.tracking.registry import REQUIREMENTS

HAVE_NOT = (
    "sb3_contrib", "transformers", "psutil", "cma", "prefect", "typer", "uvicorn", "joblib",
    "matplotlib",
)  # fmt: skip
"""Modules of ours that are among the requirements of no policy but those that name them."""
ACT = """
import json, sys
from importlib.abc import MetaPathFinder

class Missing(MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in missing:
            raise ImportError(f"{name} is not installed here")

folder, missing = sys.argv[1], set(json.loads(sys.argv[2]))
sys.meta_path.insert(0, Missing())

from pathlib import Path
import numpy as np
from pydantic import TypeAdapter
from rlhf_core.environments.spaces import Spaces, build
from rlhf_core.optimisers import AnyOptimiser
from rlhf_core.packing import unpack
from rlhf_core.policies import PolicyState

failed = {}
for path in sorted(Path(folder).glob("*.json")):
    content = json.loads(path.read_text())
    try:
        spaces = Spaces(*map(build, content["spaces"]))
        optimiser = TypeAdapter(AnyOptimiser).validate_python(content["optimiser"])
        state = unpack(path.with_suffix(".safetensors").read_bytes(), PolicyState)
        act = optimiser.act(state, spaces, True)
        assert len(act(np.zeros((2, *spaces.observation.shape), np.float32))) == 2
    except ImportError as error:
        failed[path.stem] = str(error)
print(json.dumps(failed))
"""


def failing(folder: Path, missing: tuple[str, ...]) -> dict[str, str]:
    """Kinds whose policies do not act where these modules are missing, and why."""
    done = subprocess.run(
        [sys.executable, "-c", ACT, str(folder), json.dumps(missing)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    result: dict[str, str] = json.loads(done.stdout)
    return result


def test_each_kind_acts_with_what_it_says_that_it_needs(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from rlhf_core.environments.spaces import describe

    for kind, plugin in OPTIMISERS.kinds().items():
        id = "CartPole-v1" if kind == "dqn" else "Pendulum-v1"
        if issubclass(plugin, LanguageOptimiser):
            id = "rlhf/RandomWalks-v0"
        spaces = Environment(id=id).spaces()
        optimiser = plugin()
        (tmp_path / f"{kind}.safetensors").write_bytes(pack(optimiser.initial(spaces, 0)))
        content = {
            "optimiser": optimiser.model_dump(mode="json"),
            "spaces": [describe(space) for space in spaces],
        }
        (tmp_path / f"{kind}.json").write_text(json.dumps(content))
    needing = {kind for kind, plugin in OPTIMISERS.kinds().items() if plugin.packages}
    assert needing == {"recurrent_ppo", "grpo", "rloo", "dpo"}
    assert RecurrentPPO.packages == ("sb3-contrib",)
    assert "sb3-contrib" not in REQUIREMENTS
    assert set(failing(tmp_path, HAVE_NOT)) == needing
    # transformers does without psutil, but asks whether it is there, which raises here.
    assert failing(tmp_path, HAVE_NOT[3:]) == {}

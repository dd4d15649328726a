"""What MLflow runs where a logged policy is loaded or served (a "model from code").

It reads JSON and safetensors and needs `rlhf_core`, a copy of which lies in the model.
"""

import json
from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import TypeAdapter

from rlhf_core.acting import reset
from rlhf_core.environments.spaces import Spaces, build
from rlhf_core.optimisers import AnyOptimiser
from rlhf_core.packing import unpack
from rlhf_core.policies import Optimiser, PolicyState


class PolicyModel(PythonModel):
    """Observations (B, *obs) in, actions (B, *act) out, chosen as in the evaluation."""

    def load_context(self, context: PythonModelContext) -> None:
        """Build the policy network and fill in its weights."""
        config = json.loads(Path(context.artifacts["config"]).read_text())
        self.spaces = Spaces(build(config["observation"]), build(config["action"]))
        optimiser: Optimiser = TypeAdapter(AnyOptimiser).validate_python(config["optimiser"])
        state = unpack(Path(context.artifacts["weights"]).read_bytes(), PolicyState)
        self.act = optimiser.act(state, self.spaces, config["deterministic"])

    # MLflow takes an annotation of `model_input` for a schema of its own; the signature has it.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Actions for a batch of observations (array, nested lists or data frame)."""
        shape = self.spaces.observation.shape or ()
        observations = np.asarray(model_input, dtype=self.spaces.observation.dtype)
        batch = observations.reshape(-1, *shape)
        # Requests may come from anybody: none remembers another.
        reset(self.act, np.ones(len(batch), dtype=bool))
        return self.act(batch)


set_model(PolicyModel())

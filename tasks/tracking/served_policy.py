"""What MLflow runs where a logged policy is loaded or served (a "model from code").

It reads JSON and safetensors and needs `rlhf_core`, a packed copy of which lies in the model.
"""

import json
import sys
from pathlib import Path

import numpy as np
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from pydantic import TypeAdapter

# MLflow puts the model's folder of code on the path, and this puts what is packed there before it.
PACKED = [packed for entry in sys.path for packed in Path(entry).glob("rlhf_core.zip")]
sys.path[:0] = map(str, PACKED[:1])


class PolicyModel(PythonModel):
    """Observations (B, *obs) in, actions (B, *act) out, chosen as in the evaluation."""

    def load_context(self, context: PythonModelContext) -> None:
        """Build the policy network and fill in its weights."""
        from rlhf_core.acting import reset
        from rlhf_core.environments.spaces import Spaces, build
        from rlhf_core.optimisers import AnyOptimiser
        from rlhf_core.packing import unpack
        from rlhf_core.policies import Optimiser, PolicyState

        config = json.loads(Path(context.artifacts["config"]).read_text())
        self.spaces = Spaces(build(config["observation"]), build(config["action"]))
        optimiser: Optimiser = TypeAdapter(AnyOptimiser).validate_python(config["optimiser"])
        state = unpack(Path(context.artifacts["weights"]).read_bytes(), PolicyState)
        self.act, self.reset = optimiser.act(state, self.spaces, config["deterministic"]), reset

    # MLflow takes an annotation of `model_input` for a schema of its own; the signature has it.
    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        """Actions for a batch of observations (array, nested lists or data frame)."""
        shape = self.spaces.observation.shape or ()
        observations = np.asarray(model_input, dtype=self.spaces.observation.dtype)
        batch = observations.reshape(-1, *shape)
        # Requests may come from anybody: none remembers another.
        self.reset(self.act, np.ones(len(batch), dtype=bool))
        return self.act(batch)


set_model(PolicyModel())

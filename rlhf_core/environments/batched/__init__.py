"""Classic control, many copies at once: the arithmetic of Gymnasium's environments on arrays.

Importing this package registers `rlhf/CartPole-v1`, `rlhf/Pendulum-v1`, `rlhf/Acrobot-v1`,
`rlhf/MountainCar-v0` and `rlhf/MountainCarContinuous-v0`, which `gymnasium.make` finds as the
single environment and `gymnasium.make_vec` as the batch; both take `fixed_horizon` and
`horizon_form`. `Environment.make_vector` uses the batch by itself. Beside them stand the mazes
`rlhf/PointMazeLeft-v0` and `rlhf/PointMazeRight-v0`, in which a learned reward is moved from one
layout to another; `rlhf/PointRobot-v0`, whose goal is not observed; `rlhf/Recommender-v0`, whose
users click on bait, and `rlhf/Dialogue-v0`, whose users lose patience; and `rlhf/RandomWalks-v0`
and `rlhf/Sentiment-v0`, in which an episode is a text.
"""

from rlhf_core.environments.batched.registration import dynamics_of, register
from rlhf_core.environments.batched.vector import BatchedEnv, Dynamics

register()

__all__ = ["BatchedEnv", "Dynamics", "dynamics_of"]

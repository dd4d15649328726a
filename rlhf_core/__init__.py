"""Reinforcement learning from human feedback for control and decision tasks.

The package is the library: data types, rewards, queries, annotators, optimisers and the
five-line path in `rlhf_core.agents`. It knows neither Prefect nor MLflow, and importing it
loads none of the heavy packages; import the module that you need.
"""

__version__ = "0.1.0"

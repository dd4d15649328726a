"""Searching for settings: what is varied, how it is sampled, and when a setting is given up."""

from rlhf_core.sweep.definition import Sweep
from rlhf_core.sweep.study import Setting, Study

__all__ = ["Setting", "Study", "Sweep"]

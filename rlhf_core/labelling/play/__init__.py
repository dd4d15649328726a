"""Demonstrations by playing: a person steps the environment, and the episode is recorded."""

from rlhf_core.labelling.play.actions import PlayAction, PlayActions, play_actions
from rlhf_core.labelling.play.episode import PlayedEpisode
from rlhf_core.labelling.play.sessions import PlaySessions, PlayState

__all__ = [
    "PlayAction",
    "PlayActions",
    "PlaySessions",
    "PlayState",
    "PlayedEpisode",
    "play_actions",
]

"""What the routes share."""

from dataclasses import dataclass

from rlhf_core.labelling.server.clips import Clips
from rlhf_core.labelling.server.pages import Pages
from rlhf_core.labelling.server.plays import Plays
from rlhf_core.labelling.server.sessions import Sessions
from rlhf_core.labelling.server.settings import ServerSettings
from rlhf_core.labelling.store import LabelStore


@dataclass(frozen=True)
class Services:
    """What the routes share."""

    store: LabelStore
    settings: ServerSettings
    sessions: Sessions
    clips: Clips
    plays: Plays
    pages: Pages

    def close(self) -> None:
        """End what runs in the background. The store is its opener's to close."""
        self.clips.close()
        self.plays.close()

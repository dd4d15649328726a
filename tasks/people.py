"""The people of a run: where their questions and answers are kept, and what a run waits for."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rlhf_core.annotators import People
from rlhf_core.annotators.human import Human
from rlhf_core.configuration import to_yaml
from rlhf_core.experiment import Experiment
from rlhf_core.labelling.moment import Moment
from tasks.addresses import sqlite_url
from tasks.home import Home
from tasks.runs.run import Run

if TYPE_CHECKING:
    from rlhf_core.labelling.store import Campaign, LabelStore

VARIABLE = "RLHF_LABEL_STORE"
"""Names a label store that several machines share, such as `postgresql+psycopg://HOST/labels`."""
FILE = "labels.db"


@dataclass(frozen=True)
class Wait:
    """What a run waits for."""

    round: int
    """From 0."""
    questions: int
    complete: int
    """Questions with enough answers."""
    deadline: float | None
    """Unix time; None: there is none."""
    closed: bool
    """Whether the campaign was closed."""

    @property
    def over(self) -> bool:
        """Whether the run can go on, or has to look again at what becomes of it."""
        late = self.deadline is not None and time.time() >= self.deadline
        return self.closed or late or self.complete == self.questions


def asks_people(experiment: Experiment) -> bool:
    """Whether a run of an experiment waits for people."""
    return isinstance(experiment.annotator, Human) and experiment.feedback.asks


def label_store_url(home: Home) -> str:
    """Where a home's questions and answers are: `RLHF_LABEL_STORE`, else a file of the home."""
    given = os.environ.get(VARIABLE)
    return given or sqlite_url(home.folder("labelling") / FILE, "sqlite")


def has_labels(home: Home) -> bool:
    """Whether somebody was ever asked here."""
    return bool(os.environ.get(VARIABLE)) or (home.path / "labelling" / FILE).exists()


@contextmanager
def labels_of(home: Home) -> Iterator["LabelStore"]:
    """The label store of a home.

    Raises:
        StoreError: it cannot be opened.
    """
    from rlhf_core.labelling.store import open_store

    store = open_store(label_store_url(home))
    try:
        yield store
    finally:
        store.close()


@contextmanager
def people_of(run: Run, moment: Moment) -> Iterator[People | None]:
    """Who can be asked in a round of a run; None where its annotator is no person."""
    if not asks_people(run.experiment):
        yield None
        return
    from rlhf_core.labelling.asking import CampaignPeople

    with labels_of(Home()) as labels:
        experiment = run.experiment
        yield CampaignPeople(
            labels, run.store, run.run_id, experiment.name, to_yaml(experiment), moment
        )


def wait_of(labels: "LabelStore", campaign: "Campaign") -> Wait | None:
    """What the run of a campaign waits for; None where it waits for nothing."""
    batches = labels.batches(campaign.id)
    progress = labels.progress(batches[-1]) if batches else None
    if progress is None or progress.collected:
        return None
    return Wait(
        batches[-1].round, progress.questions, progress.complete, progress.deadline,
        progress.closed,
    )  # fmt: skip


def close_campaign(home: Home, run_id: str) -> None:
    """Ask nobody any more for a run that has ended."""
    with labels_of(home) as labels:
        campaign = labels.campaign_of_run(run_id)
        if campaign is not None:
            labels.set_status(campaign.id, "closed", actor="run")

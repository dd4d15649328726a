"""Campaigns to serve: a small request, its store of artifacts, and a label store."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rlhf_core.configuration import to_yaml
from rlhf_core.labelling.store import (
    Campaign,
    CampaignSettings,
    Gold,
    LabelStore,
    Submission,
    open_store,
)
from rlhf_core.store import Store
from tests.labelling.clip_examples import clips_of, experiment_in, request_of

INSTRUCTIONS = "The pendulum should swing up and stand still at the top."


def store_in(folder: Path) -> LabelStore:
    return open_store(f"sqlite:///{folder}/labels.db")


def publish(
    store: LabelStore,
    folder: Path,
    forms: dict[str, int],
    environment: dict[str, Any] | None = None,
    key: str = "run",
    clips: int = 10,
    steps: int = 25,
    deadline: float | None = None,
    gold: Sequence[Gold] = (),
    **settings: Any,
) -> Campaign:
    """A campaign with so many questions of each form; `training` of them with a known answer."""
    work = dict(forms)
    training = work.pop("training", 0)
    if training:
        work["comparison"] -= training
    chosen: dict[str, Any] = {"id": "Pendulum-v1", **(environment or {})}
    if "demonstration" in work:
        # Whoever plays plays few steps.
        chosen["time_limit"] = 30
    experiment = experiment_in(chosen, steps)
    segments = clips_of(experiment, clips, steps)
    request = request_of(segments, {form: count for form, count in work.items() if count})
    artifacts = Store(f"{folder}/artifacts").create()
    ref = artifacts.put(request)
    campaign = store.open_campaign(
        key,
        "Swing the pendulum up",
        CampaignSettings(instructions=INSTRUCTIONS, training=training, **settings),
        to_yaml(experiment),
    )
    form = '{"kind":"comparison"}'
    practice = [
        Gold("comparison", form, (at, at + 1), {"choice": "left"}, "The left one is nearer.")
        for at in range(training)
    ]
    store.publish(campaign, 0, 0, request, artifacts.root, ref, [*practice, *gold], deadline)
    return campaign


def answered(
    store: LabelStore, campaign: Campaign, name: str, choices: list[str], seconds: float = 2.0
) -> str:
    """An annotator joins and answers comparisons in their order; returns the session's token."""
    annotator, session = store.join(store.invite(campaign.id, name, 1)[1], name)
    assert session is not None
    for number, choice in enumerate(choices):
        (item,) = store.offer(annotator, 1).items
        sent = Submission(f"answer-{number}", item.id, number, {"choice": choice}, seconds)
        store.submit(annotator, sent)
    return session

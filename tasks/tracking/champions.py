"""Which version of a registered model is in use: aliases, and the history of their moves.

Alias `champion` is the version in use, `previous` the one before it, `challenger` the newest one
that was trained to take its place. Each move is a tag of the registered model with its time, so
that the history only grows.
"""

import json
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rlhf_core.errors import ConfigurationError, RunError
from rlhf_core.packing import unpack
from rlhf_core.plugin import nearest
from rlhf_core.policies import PolicyState
from tasks.addresses import masked, printable
from tasks.tracking.notes import edited
from tasks.tracking.store import Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
EVENT_TAG = "rlhf.event."
"""Of a registered model, with a time (Unix, ns) behind it: a move, as JSON."""
RECORD_TAG, ANEW = "rlhf.record", "anew"
"""Of a version: whether it is to be measured anew, since what it was measured by has changed."""
LONGEST = 1000
"""Characters of a reason that a tag holds."""


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    name: str
    number: int
    run_id: str
    """Of the run that trained it."""
    tags: Mapping[str, str]

    @property
    def address(self) -> str:
        """As `mlflow models serve -m` takes it."""
        return f"models:/{self.name}/{self.number}"


@dataclass(frozen=True)
class Move:
    """Something that happened to a registered model."""

    what: str
    """promoted, refused, drifted, promoted by hand, or rolled back."""
    version: int
    """That it happened to."""
    before: int | None
    """The champion before; None where there was none."""
    reason: str
    at: float
    """Unix time, in seconds."""


def model_name(tracker: Tracker, wanted: str | None) -> str:
    """Name of a registered model; the only one, or the only one with a champion, where none is.

    Raises:
        RunError: it is not known, or there are several to choose from.
    """
    client = tracker.client()
    names = sorted(model.name for model in client.search_registered_models())
    if wanted in names:
        return str(wanted)
    where = printable(tracker.uri)
    if not names:
        raise RunError(f"no policy is registered in {where}; `rlhf train` registers one")
    if wanted is not None:
        raise RunError(f"model '{printable(wanted)}' is not known; {nearest(wanted, names)}")
    used = [name for name in names if CHAMPION in aliases(tracker, name)] or names
    if len(used) > 1:
        raise RunError(f"--model: expected one of {', '.join(used)}, actual: none")
    return used[0]


def check_name(name: str) -> str:
    """Return a name. Raises `ConfigurationError` where no registered model can be called so."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", name):
        raise ConfigurationError(
            f"--model: expected a name of letters, digits, dots, dashes and underscores, actual: "
            f"'{printable(name)}'"
        )
    return name


def aliased(tracker: Tracker, name: str, alias: str) -> Version | None:
    """The version that an alias names; None where there is no such model or alias."""
    number = aliases(tracker, name).get(alias)
    return None if number is None else numbered(tracker, name, number)


def aliases(tracker: Tracker, name: str) -> dict[str, int]:
    """Version numbers by alias; none where there is no such model."""
    from mlflow.exceptions import MlflowException

    try:
        model = tracker.client().get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return {alias: int(version) for alias, version in model.aliases.items()}


def numbered(tracker: Tracker, name: str, number: int) -> Version:
    """A version by its number.

    Raises:
        RunError: the model has no such version.
    """
    from mlflow.exceptions import MlflowException

    client = tracker.client()
    try:
        return _version(client.get_model_version(name, str(number)))
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
    known = sorted(int(v.version) for v in client.search_model_versions(f"name = '{name}'"))
    raise RunError(f"model {name}: expected a version among {known}, actual: {number}")


def version_of_run(tracker: Tracker, run_id: str, name: str) -> Version:
    """The version of a model that a run trained, made of its registered policy if need be.

    Raises:
        RunError: the run has registered no policy.
    """
    from mlflow.exceptions import MlflowException

    client = tracker.client()
    versions = client.search_model_versions(f"run_id = '{run_id}'")
    for version in versions:
        if version.name == name:
            return _version(version)
    if not versions:
        raise RunError(f"run {run_id} has registered no policy")
    source = versions[0]
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = dict(source.tags)
    # A tracking server tells the files of a version, and not of which logged model they are.
    model_id = source.model_id or _model_of_files(client, run_id, source.source)
    made = client.create_model_version(
        name, source.source or "", run_id, tags=tags, model_id=model_id
    )
    return _version(made)


def _model_of_files(client: "MlflowClient", run_id: str, place: str | None) -> str | None:
    """The id of the logged model of a run whose files lie in a place."""
    experiment = client.get_run(run_id).info.experiment_id
    models = client.search_logged_models([experiment], f"source_run_id = '{run_id}'")
    return next((one.model_id for one in models if one.artifact_location == place), None)


def count(tracker: Tracker, name: str) -> int:
    """How many versions a registered model has."""
    return len(tracker.client().search_model_versions(f"name = '{name}'"))


def weights(tracker: Tracker, version: Version) -> PolicyState:
    """The policy of a version, without the state of its optimiser."""
    from mlflow.artifacts import download_artifacts

    uri = tracker.client().get_model_version_download_uri(version.name, str(version.number))
    with tempfile.TemporaryDirectory() as folder:
        found = Path(
            download_artifacts(
                artifact_uri=f"{uri}/artifacts/policy.safetensors",
                dst_path=folder,
                tracking_uri=tracker.uri,
            )
        )
        return unpack(found.read_bytes(), PolicyState)


def set_tags(tracker: Tracker, version: Version, tags: Mapping[str, str]) -> None:
    """Set tags of a version. Secrets of addresses are masked, long texts cut."""
    client = tracker.client()
    for name, text in tags.items():
        client.set_model_version_tag(
            version.name, str(version.number), name, masked(text)[:LONGEST]
        )


def describe(tracker: Tracker, version: Version, paragraphs: Mapping[str, str | None]) -> None:
    """Replace paragraphs of the description of a version, which MLflow's page shows."""
    client = tracker.client()
    number = str(version.number)
    before = client.get_model_version(version.name, number).description or ""
    client.update_model_version(version.name, number, masked(edited(before, paragraphs)))


def propose(tracker: Tracker, version: Version) -> None:
    """Make a version the challenger."""
    _set(tracker, version, CHALLENGER)


def promote(tracker: Tracker, version: Version, what: str, reason: str) -> int | None:
    """Make a version the champion; the one before becomes `previous`. Returns its number."""
    now = aliases(tracker, version.name)
    before = now.get(CHAMPION)
    if before != version.number:
        if before is not None:
            # First, so that a kill in between loses no version.
            _set(tracker, numbered(tracker, version.name, before), PREVIOUS)
        _set(tracker, version, CHAMPION)
    if now.get(CHALLENGER) == version.number:
        tracker.client().delete_registered_model_alias(version.name, CHALLENGER)
    record(tracker, version, what, before, reason)
    return before


def promote_by_hand(tracker: Tracker, version: Version, reason: str) -> int | None:
    """Make a version the champion whatever the gate said; the next gate measures it anew.

    The present champion too can be promoted so, where its environment has changed for good.
    """
    set_tags(tracker, version, {RECORD_TAG: ANEW})
    return promote(tracker, version, "promoted by hand", reason)


def roll_back(tracker: Tracker, name: str, reason: str) -> tuple[Version, int]:
    """Make the previous version the champion again; they change places.

    Returns:
        The champion now, and the number of the one before.

    Raises:
        RunError: there is no previous version.
    """
    previous = aliased(tracker, name, PREVIOUS)
    if previous is None:
        raise RunError(
            f"model {name}: expected a previous champion, actual: none; see rlhf history"
        )
    before = promote(tracker, previous, "rolled back", reason)
    if before is None:
        raise RunError(f"model {name}: version {previous.number} had no champion to replace")
    return previous, before


def record(tracker: Tracker, version: Version, what: str, before: int | None, reason: str) -> None:
    """Add to the history."""
    move = Move(what, version.number, before, masked(reason)[:LONGEST], time.time())
    tag = f"{EVENT_TAG}{time.time_ns()}"
    tracker.client().set_registered_model_tag(version.name, tag, json.dumps(asdict(move)))


def history(tracker: Tracker, name: str) -> list[Move]:
    """Everything that happened to a registered model, oldest first."""
    tags = tracker.client().get_registered_model(name).tags
    events: list[tuple[int, dict[str, Any]]] = sorted(
        (int(tag.removeprefix(EVENT_TAG)), json.loads(text))
        for tag, text in tags.items()
        if tag.startswith(EVENT_TAG)
    )
    return [Move(**content) for _, content in events]


def _set(tracker: Tracker, version: Version, alias: str) -> None:
    tracker.client().set_registered_model_alias(version.name, alias, str(version.number))


def _version(found: "ModelVersion") -> Version:
    return Version(found.name, int(found.version), found.run_id or "", dict(found.tags))

"""A home: who may read it, and that it can be moved and copied."""

import shutil
import stat
from pathlib import Path

import pytest

from tasks.home import Home, private, write_private
from tasks.tracking.store import Tracker, prepare


def mode(path: Path) -> int:
    """Who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_home_is_its_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.store.remember("written", {})
    prepare(home)
    with home.locked("x"), private(home.folder("leases") / "a.json", "a+"):
        pass
    assert {mode(home.path), *(mode(path) for path in home.path.iterdir())} == {0o700}
    assert mode(home.path / "leases" / "a.json") == 0o600


def test_a_home_of_an_earlier_version_is_closed_to_others(tmp_path: Path) -> None:
    lease = tmp_path / "leases" / "a.json"
    lease.parent.mkdir(mode=0o755)
    lease.write_text("{}")
    lease.chmod(0o644)
    with private(Home(tmp_path).folder("leases") / "a.json", "a+"):
        assert (mode(lease.parent), mode(lease)) == (0o700, 0o600)


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("logs", ["web.log"]),
        ("logs", []),
        ("mlflow", ["README.md"]),
        ("mlflow", ["mlflow.db", "x"]),
    ],
)
def test_a_folder_with_other_files_keeps_its_mode(
    tmp_path: Path, name: str, files: list[str]
) -> None:
    folder = tmp_path / name
    folder.mkdir(mode=0o755)
    for file in files:
        (folder / file).write_text("")
    assert Home(tmp_path).folder(name) == folder
    assert mode(folder) == 0o755


def test_a_private_file_is_written_whole_and_replaced_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    for text, overwrite, expected in (("1", False, "1"), ("2", False, "1"), ("3", True, "3")):
        write_private(path, text, overwrite)
        assert (path.read_text(), mode(path)) == (expected, 0o600)
    assert list(tmp_path.iterdir()) == [path]


def logged(tracker: Tracker) -> str:
    """A run with an artifact and a registered model."""
    client = tracker.client()
    known = client.get_experiment_by_name("e")
    place = tracker.artifacts
    made = known.experiment_id if known else client.create_experiment("e", artifact_location=place)
    run_id: str = client.create_run(made).info.run_id
    client.log_text(run_id, "first", "first.txt")
    model = client.create_logged_model(made, "policy", run_id)
    if not known:
        client.create_registered_model("m")
    client.create_model_version("m", model.artifact_location, run_id, model_id=model.model_id)
    return run_id


def forget_places() -> None:
    """Be like a new process: MLflow remembers by the run where its artifacts are."""
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()


@pytest.mark.parametrize("how", ["moved", "copied", "of an earlier version"])
def test_a_home_in_a_new_place_reads_and_writes_there_alone(tmp_path: Path, how: str) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    run_id = logged(prepare(Home(old)))
    if how == "of an earlier version":
        (old / "mlflow" / "place").unlink()
    if how == "copied":
        shutil.copytree(old, new)
    else:
        old.rename(new)
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}

    forget_places()
    tracker = prepare(Home(new))
    client = tracker.client()
    client.log_text(run_id, "second", "second.txt")
    logged(tracker)
    assert {artifact.path for artifact in client.list_artifacts(run_id)} == {
        "first.txt", "second.txt"
    }  # fmt: skip
    assert len(list(new.rglob("first.txt"))) == 2
    version, _ = client.search_model_versions("name = 'm'")
    assert version.source.startswith((new / "mlflow" / "artifacts").as_uri())
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before
    assert old.exists() == (how == "copied")


def test_a_link_to_a_home_leaves_its_places_alone(tmp_path: Path) -> None:
    run_id = logged(prepare(Home(tmp_path / "home")))
    (tmp_path / "link").symlink_to(tmp_path / "home")
    client = prepare(Home(tmp_path / "link")).client()
    place = client.get_run(run_id).info.artifact_uri
    assert place.startswith((tmp_path / "home").as_uri())


def test_artifacts_elsewhere_stay_elsewhere(tmp_path: Path) -> None:
    elsewhere = (tmp_path / "elsewhere" / "mlflow" / "artifacts").as_uri()
    tracker = prepare(Home(tmp_path / "old"))
    made = tracker.client().create_experiment("own", artifact_location=elsewhere)
    (tmp_path / "old").rename(tmp_path / "new")
    client = prepare(Home(tmp_path / "new")).client()
    assert client.get_experiment(made).artifact_location == elsewhere

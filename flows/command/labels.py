"""`rlhf labels`: list and show label sets, write them to files and read them from files."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command.errors import plain_errors
from flows.command.options import AsJson, HomeFolder
from flows.command.streams import prints_on_stderr

if TYPE_CHECKING:
    from rlhf_core.label_sets.versions import LabelSetVersion
    from tasks.home import Home

labels = typer.Typer(
    no_args_is_help=True, help="Label sets: named collections of judgements that outlive a run."
)
Name = Annotated[str, typer.Argument(help="Of the label set.")]
Number = Annotated[
    int | None, typer.Option("--version", min=1, help="Of the label set; the newest else.")
]
File = Annotated[Path, typer.Argument(help="Ends in .jsonl or .parquet.")]


@contextmanager
def _home(home: Path | None, is_there: bool = True) -> "Iterator[Home]":
    with plain_errors(home), prints_on_stderr():
        from tasks.home import Home

        place = Home(home)
        if is_there:
            place.expect()
        yield place


@labels.command(name="list")
def list_sets(home: HomeFolder = None, as_json: AsJson = False) -> None:
    """List label sets with their newest version, judgements and age.

    rlhf labels list
    """
    with _home(home) as place:
        from rlhf_core.label_sets import versions

        store = place.store
        newest = [versions.read(store, name) for name in versions.names(store)]
    if as_json:
        typer.echo(json.dumps([_content(version) for version in newest]))
    elif not newest:
        typer.echo("there is no label set; `rlhf labels import` or `rlhf retrain` makes one")
    for version in () if as_json else newest:
        last = max(note.collected_at for note in version.batches)
        typer.echo(
            f"{version.name}  version {version.number}  {_counts(version.counts)}  newest label "
            f"{_day(last)}"
        )


@labels.command()
def show(
    name: Name, number: Number = None, home: HomeFolder = None, as_json: AsJson = False
) -> None:
    """Show where the labels of a set come from, and how old they are.

    rlhf labels show people
    """
    with _home(home) as place:
        from rlhf_core.label_sets import versions

        version = versions.read(place.store, name, number)
    if as_json:
        typer.echo(json.dumps(_content(version)))
        return
    typer.echo(f"{version.name}, version {version.number}, digest {version.digest}")
    for note in version.batches:
        days = max(time.time() - note.collected_at, 0) / 86_400
        typer.echo(
            f"{_day(note.collected_at)}  {days:.0f} days old  {_counts(note.counts)}  {note.origin}"
        )


@labels.command()
def export(
    name: Name,
    file: File,
    number: Number = None,
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Write a label set to a file, one judgement a line with its clips.

    rlhf labels export people people.jsonl
    """
    with _home(home) as place:
        from rlhf_core.label_sets import files, versions

        version = versions.read(place.store, name, number)
        count = files.write(file, version.load(place.store))
    if as_json:
        typer.echo(json.dumps({**_content(version), "file": str(file), "judgements": count}))
    else:
        typer.echo(f"{count} judgements of {name}, version {version.number}, in {file}")


@labels.command(name="import")
def import_file(name: Name, file: File, home: HomeFolder = None, as_json: AsJson = False) -> None:
    """Add the judgements of a file to a label set, all of them or none.

    rlhf labels import people people.jsonl
    """
    with _home(home, is_there=False) as place:
        from rlhf_core.label_sets import files, versions

        versions.check_name(name)
        batches = files.read(file)
        with place.locked("labels"):
            before = versions.newest(place.store, name)
            version = versions.append(place.store, name, batches)
    added = version != before
    if as_json:
        typer.echo(json.dumps({**_content(version), "added": added}))
    elif added:
        typer.echo(f"{name}, version {version.number}: {_counts(version.counts)}")
    else:
        typer.echo(f"{name} has these labels already; version {version.number} stays")


def _content(version: "LabelSetVersion") -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.number,
        "digest": version.digest,
        "counts": dict(version.counts),
        "batches": [
            {"origin": n.origin, "collected_at": n.collected_at, "counts": dict(n.counts)}
            for n in version.batches
        ],
    }


def _counts(counts: Any) -> str:
    return ", ".join(f"{count} of form {form}" for form, count in counts.items())


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment):%Y-%m-%d}"

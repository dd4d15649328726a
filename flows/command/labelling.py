"""`rlhf label`: the campaigns in which people answer the questions of runs."""

import json
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
    from rlhf_core.labelling.quality import CampaignOverview, CampaignSummary
    from rlhf_core.labelling.store import Campaign, LabelStore
    from tasks.home import Home

label = typer.Typer(no_args_is_help=True, help="People who answer the questions of runs.")
Key = Annotated[
    str | None,
    typer.Argument(metavar="[RUN]", help="Id of the run, or its beginning; the newest else."),
]
File = Annotated[Path, typer.Argument(help="Ends in .jsonl or .parquet.")]


@label.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; this machine alone else.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; the last one of the home else.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="How people reach it, such as https://labels.example.org"),
    ] = None,
    proxies: Annotated[
        list[str] | None,
        typer.Option("--proxy", help="Address of a proxy that is believed; may be repeated."),
    ] = None,
    home: HomeFolder = None,
) -> None:
    """Serve the pages of annotators and of the owner until Ctrl-C; runs go on when all is answered.

    Beyond this machine it needs the owner's secret in RLHF_LABEL_SECRET.

    rlhf label serve --host 0.0.0.0 --port 8010 --url https://labels.example.org
    """
    with plain_errors(home):
        from flows.services.label_pages import serve_pages
        from tasks.home import Home

        serve_pages(Home(home), host, port, url, tuple(proxies or ()), typer.echo)


@label.command()
def campaigns(home: HomeFolder = None, as_json: AsJson = False) -> None:
    """List what runs ask people, the newest first.

    rlhf label campaigns
    """
    with _labels(home) as (_, store):
        from rlhf_core.labelling.quality import campaign_summaries

        summaries = campaign_summaries(store)
        keys = {one.id: one.key for one in store.campaigns()}
    if as_json:
        content = [{"run_id": keys[one.id], **one.model_dump(mode="json")} for one in summaries]
        typer.echo(json.dumps(content))
    elif not summaries:
        typer.echo("no run has asked people yet; `rlhf train pendulum-people` does")
    for summary in () if as_json else summaries:
        typer.echo(f"{keys[summary.id][:8]}  {_line(summary)}")


@label.command()
def status(key: Key = None, home: HomeFolder = None, as_json: AsJson = False) -> None:
    """Show how far a campaign is, who answers, and how well.

    rlhf label status
    """
    with _campaign(home, key) as (_, store, campaign):
        from rlhf_core.labelling.quality import campaign_overview

        overview = campaign_overview(store, campaign.id)
    content = overview.model_dump(mode="json")
    if as_json:
        typer.echo(json.dumps({"run_id": campaign.key, **content}))
        return
    typer.echo(f"run {campaign.key}: {_line(overview)}")
    if overview.estimated_end is not None:
        typer.echo(f"estimated end: {_time(overview.estimated_end)}")
    agreement = overview.agreement
    if agreement.pairs:
        typer.echo(f"annotators agree on {agreement.share:.0%} of {agreement.pairs} pairs")
    for one in overview.annotators:
        gold = f", known questions right {one.gold_correct} of {one.gold}" if one.gold else ""
        speed = "" if one.median_seconds is None else f", {one.median_seconds:.1f} s each"
        active = "" if one.active else ", inactive"
        typer.echo(f"  {one.number}  {one.name}: {one.answers} answers{speed}{gold}{active}")


@label.command()
def invite(
    key: Key = None,
    name: Annotated[str, typer.Option(help="Whom or what it is for.")] = "invited",
    uses: Annotated[
        int | None, typer.Option(min=1, help="How many may join by it; any number else.")
    ] = None,
    hours: Annotated[
        float | None, typer.Option(min=0.01, help="After which it expires; never else.")
    ] = None,
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Make a link by which people join; it is shown this once.

    rlhf label invite --name crowd --uses 20 --hours 48
    """
    with _campaign(home, key) as (place, store, campaign):
        from flows.services import label_server

        address = label_server.external() or label_server.SERVER.last_address(place)
        made, token = store.invite(campaign.id, name, uses=uses, hours=hours)
    link = f"{address}/join/{token}"
    if as_json:
        typer.echo(json.dumps({"id": made.id, "link": link, "uses": uses, "hours": hours}))
        return
    typer.echo(link)
    typer.echo("it works while the run waits in a terminal, or `rlhf label serve` runs", err=True)


@label.command()
def export(file: File, key: Key = None, home: HomeFolder = None, as_json: AsJson = False) -> None:
    """Write the labels of a campaign to a file that `rlhf labels import` reads.

    rlhf label export people.jsonl
    """
    with _campaign(home, key) as (_, store, campaign):
        from rlhf_core.labelling.exchange import export_labels

        count = export_labels(store, campaign.id, file)
    if as_json:
        typer.echo(json.dumps({"run_id": campaign.key, "file": str(file), "labels": count}))
    else:
        typer.echo(f"{count} labels of run {campaign.key} in {file}")


@label.command(name="import")
def import_file(
    file: File,
    key: Key = None,
    name: Annotated[str, typer.Option(help="Annotator that they are of.")] = "imported",
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Take answers from a file, all of them or none; it has the form that `export` writes.

    rlhf label import theirs.jsonl --name lab-3
    """
    with _campaign(home, key) as (_, store, campaign):
        from rlhf_core.labelling.exchange import import_answers

        count = import_answers(store, campaign.id, file, name)
    if as_json:
        typer.echo(json.dumps({"run_id": campaign.key, "answers": count}))
    else:
        typer.echo(f"{count} answers for run {campaign.key}")


@label.command()
def pause(key: Key = None, home: HomeFolder = None) -> None:
    """Ask nobody until it is opened again.

    rlhf label pause
    """
    _set_status(home, key, "paused")


@label.command(name="open")
def open_again(key: Key = None, home: HomeFolder = None) -> None:
    """Ask again.

    rlhf label open
    """
    _set_status(home, key, "open")


@label.command()
def close(key: Key = None, home: HomeFolder = None) -> None:
    """Ask nobody any more; the run goes on with the answers there are.

    rlhf label close
    """
    _set_status(home, key, "closed")


@label.command()
def extend(
    hours: Annotated[float, typer.Argument(help="By which the deadline moves.")],
    key: Key = None,
    home: HomeFolder = None,
) -> None:
    """Move the deadline of what is asked now.

    rlhf label extend 24
    """
    with _campaign(home, key) as (_, store, campaign):
        from rlhf_core.errors import RunError

        store.extend(campaign.id, hours)
        deadlines = [store.progress(batch).deadline for batch in store.batches(campaign.id)]
        newest = deadlines[-1] if deadlines else None
        if newest is None:
            raise RunError(f"run {campaign.key} has no deadline: it waits for ever")
    typer.echo(f"run {campaign.key}: the deadline is {_time(newest)}")


def _set_status(home: Path | None, key: str | None, status: str) -> None:
    with _campaign(home, key) as (_, store, campaign):
        store.set_status(campaign.id, status)
    typer.echo(f"run {campaign.key}: {status}")


@contextmanager
def _labels(home: Path | None) -> "Iterator[tuple[Home, LabelStore]]":
    with plain_errors(home), prints_on_stderr():
        from tasks.home import Home
        from tasks.people import labels_of

        place = Home(home)
        place.expect()
        with labels_of(place) as store:
            yield place, store


@contextmanager
def _campaign(home: Path | None, key: str | None) -> "Iterator[tuple[Home, LabelStore, Campaign]]":
    """The campaign whose run's id begins so; the newest where none is named."""
    with _labels(home) as (place, store):
        from rlhf_core.errors import RunError

        every = store.campaigns()
        found = [one for one in every if key is None or one.key.startswith(key)]
        if not found:
            what = "no run has asked people yet" if not every else f"run '{key}' has asked nobody"
            raise RunError(f"{what}; see `rlhf label campaigns`")
        if key is not None and len(found) > 1:
            raise RunError(f"run '{key}': expected one run that begins so, actual: {len(found)}")
        yield place, store, found[0]


def _line(summary: "CampaignSummary | CampaignOverview") -> str:
    cost = f", cost {summary.cost:g}" if summary.cost else ""
    return (
        f"{summary.title}, {summary.status}: {summary.complete} of {summary.questions} questions "
        f"answered, {summary.answers} answers of {_people(summary)} people{cost}"
    )


def _people(summary: "CampaignSummary | CampaignOverview") -> int:
    people: Any = summary.annotators
    return people if isinstance(people, int) else len(people)


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"

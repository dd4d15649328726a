"""`rlhf generalise`: policies trained in every physics and measured in all of them."""

import json
from typing import Annotated

import typer

from flows.command.comparing import connect_for
from flows.command.errors import plain_errors
from flows.command.options import AsJson, HomeFolder, RunnerKind, Workers
from flows.command.streams import prints_on_stderr


def generalise(
    file: Annotated[str, typer.Argument(help="The study's YAML file.")],
    seeds: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many seeds; as the file says else.")
    ] = None,
    workers: Workers = None,
    runner: RunnerKind = "processes",
    home: HomeFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train in every physics, and measure each policy in all of them.

    rlhf generalise benchmarks/generalisation/cartpole.yaml --seeds 2
    """
    from rich.console import Console

    from tasks.home import Home

    place, screen = Home(home), Console(stderr=True)
    with plain_errors(home), prints_on_stderr():
        from flows.command import board
        from flows.comparison import plan
        from flows.experiments.studies import study_of
        from flows.services.connect import lost_prefect

        study = study_of(file, seeds)
        cells = plan.cells(study.matrix)
        connect_for(study.matrix, cells, place, screen)
        from flows.generalise import generalise as flow

        with board.showing(screen), lost_prefect():
            result = flow(study, workers, runner)
    if as_json:
        typer.echo(json.dumps({name: value for name, value in result.items() if name != "text"}))
    else:
        typer.echo(result["text"], nl=False)

"""`rlhf serve`, which plays schedules, and `rlhf prefect`, Prefect's command on the same server."""

import os
import subprocess
import sys
from datetime import datetime
from typing import Annotated

import typer

from flows.command.errors import plain_errors
from flows.command.options import HomeFolder


def serve(
    limit: Annotated[
        int | None, typer.Option(min=1, max=256, help="Runs at the same time; one a core else.")
    ] = None,
    home: HomeFolder = None,
) -> None:
    """Play the schedules of a home until Ctrl-C or SIGTERM; they stay, and the next serve goes on.

    rlhf serve
    """
    with plain_errors(home):
        from joblib import cpu_count  # Those that this process may use.

        from flows.schedules.serving import serve as play
        from tasks.home import Home

        def say(text: str) -> None:
            typer.echo(f"{datetime.now():%Y-%m-%d %H:%M:%S}  {text}")
            sys.stdout.flush()

        play(Home(home), limit or cpu_count(), say)


def prefect(
    context: typer.Context,
    home: HomeFolder = None,
) -> None:
    """Call Prefect's own command on the home's server, which it starts if need be.

    rlhf prefect deployment run train/nightly --param seed_policy=fixed
    """
    with plain_errors(home):
        from flows.services import prefect_server
        from flows.services.connect import external_prefect
        from tasks.home import Home

        place = Home(home)
        url = external_prefect()
        if url is None:
            url = prefect_server.SERVER.request(place)
            os.environ.update(prefect_server.environment(place))
            prefect_server.SERVER.wait(place, url)
        os.environ.update({"PREFECT_API_URL": url, "RLHF_HOME": str(place.path)})
        status = subprocess.run(  # noqa: S603 - what the user typed
            [sys.executable, "-m", "prefect", *context.args], check=False
        ).returncode
    raise typer.Exit(status)

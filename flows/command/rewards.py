"""`rlhf rewards`: write the rewards that runs learned to a folder, a bank for later tasks."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command.errors import plain_errors
from flows.command.options import HomeFolder
from flows.command.streams import prints_on_stderr


def rewards(
    folder: Annotated[Path, typer.Argument(help="Of the bank; it is made where there is none.")],
    addresses: Annotated[
        list[str], typer.Argument(metavar="RUN_ID[@ROUND]...", help="Runs, at their end or then.")
    ],
    home: HomeFolder = None,
) -> None:
    """Write learned rewards as files, for feedback.reward_model {family: bank, bank: FOLDER}.

    rlhf rewards bank RUN_ID RUN_ID@2
    """
    with plain_errors(home), prints_on_stderr():
        from tasks.home import Home
        from tasks.runs.banks import write_bank

        place = Home(home)
        place.expect()
        written = write_bank(place, folder, addresses)
    for path in written:
        typer.echo(path)

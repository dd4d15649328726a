"""Arguments and options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

FilePreset = Annotated[str, typer.Argument(help="A YAML file, or a preset (see `rlhf list`).")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="FIELD=VALUE", help="Override a field; may be repeated."),
]
HomeFolder = Annotated[
    Path | None,
    typer.Option("--home", help="Folder of the runs; else $RLHF_HOME, else .rlhf here."),
]
Seed = Annotated[
    int | None,
    typer.Option("--seed", min=0, help="Root of all randomness; short for --set seed=N."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

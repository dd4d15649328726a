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
Control = Annotated[
    str | None, typer.Option(help="The cell that others are measured against; else the best other.")
]
FailureBelow = Annotated[
    float | None, typer.Option(help="A seed whose true return is lower counts as failed.")
]
Workers = Annotated[
    int | None,
    typer.Option(
        min=1, max=1000, help="Runs at the same time; one a core, or what the cluster plays, else."
    ),
]
RunnerKind = Annotated[
    str,
    typer.Option(
        "--runner",
        envvar="RLHF_RUNNER",
        metavar="KIND[:ADDRESS]",
        help="Where runs are played: local, processes, dask, ray or work-pool:NAME.",
    ),
]

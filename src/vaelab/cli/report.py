"""``vaelab report``: the whole report as a folder of Markdown, one HTML page, JSON and plots."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from vaelab.cli.declared import declared_config
from vaelab.cli.diagnose import (
    Channels,
    Clip,
    Compression,
    ConfigFile,
    Dialect,
    Ignore,
    Latent,
    Map,
    Paths,
    Range,
    Select,
)
from vaelab.cli.judging import diagnose_paths


class Plots(str, Enum):
    """Which static plots are drawn."""

    first = "first"
    all = "all"


def report(
    paths: Paths,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder for the report; it is made if missing.")
    ] = Path("vaelab-report"),
    plots: Annotated[
        Plots,
        typer.Option("--plots", help="Static plots: those of the first view and an overview, or all of them (slower)."),
    ] = Plots.first,
    dialect: Dialect = None,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    latent: Latent = None,
    clip: Clip = None,
    compression: Compression = None,
    channels: Channels = None,
    input_range: Range = None,
    roles: Map = None,
) -> None:
    """Write the whole report into a folder: report.md, report.html, diagnosis.json and plots.

    Example: **vaelab report train.log -o report**
    """
    declared = declared_config(config, latent, clip, compression, channels, input_range, roles)
    diagnoses = diagnose_paths(paths, dialect, declared, select, ignore)
    from vaelab.report import write_report

    for path in write_report(diagnoses, output, plots=plots.value):
        print(path)

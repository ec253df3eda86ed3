"""``vaelab diagnose``: what the numbers of a log mean, whether the run is healthy and what to change."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from vaelab.cli.declared import declared_config
from vaelab.cli.judging import diagnose_paths, fails, print_diagnoses
from vaelab.cli.reading import output_and_dialect

OUTPUTS = ("terminal", "json", "markdown", "html", "sarif")

PATHS_HELP = (
    "Log files, folders, a quoted glob, or - for standard input; addresses too (s3://, gs://, hf://, sftp://, https://, "
    "wandb://, mlflow://). Compressed .gz files are fine."
)
Paths = Annotated[list[str], typer.Argument(metavar="PATH", show_default=False, help=PATHS_HELP)]
Dialect = Annotated[
    str | None,
    typer.Option(
        "--dialect",
        metavar="NAME",
        help="Read the log as this format or trainer instead of finding out: pyramid-flow, radiodiff, ldm, csv, "
        "tensorboard ...",
    ),
]
Select = Annotated[
    list[str] | None,
    typer.Option("--select", metavar="CODES", help="Run only these rules: codes or their beginnings, e.g. KL,ADV303."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option("--ignore", metavar="CODES", help="Leave these rules out: codes or their beginnings."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help="The run's settings as YAML or JSON (kl_weight, disc_start, lr, latent_shape ...). They win over what the "
        "log says.",
    ),
]
Latent = Annotated[
    str | None,
    typer.Option(
        "--latent",
        metavar="CxTxHxW",
        help="Shape of one latent, e.g. 16x3x32x32 for video or 4x32x32 for pictures. With it the KL can be given in "
        "nats per element.",
    ),
]
Clip = Annotated[
    str | None,
    typer.Option("--clip", metavar="TxHxW", help="Size of one training sample, e.g. 17x256x256, or 256x256."),
]
Compression = Annotated[
    str | None,
    typer.Option("--compression", metavar="TxHxW", help="How many times the latent is smaller, e.g. 8x8x8, or 8x8."),
]
Channels = Annotated[
    int | None, typer.Option("--channels", metavar="N", help="Channels of the input, e.g. 3 for colour, 1 for maps.")
]
Range = Annotated[
    str | None,
    typer.Option("--range", metavar="LOW,HIGH", help="Lowest and highest input value, e.g. -1,1: for PSNR."),
]

Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="COLUMN=ROLE",
        help="Say what a column is, e.g. l_g_pix=reconstruction. May be given several times; it wins over what vaelab makes of the"
        " name. A role (reconstruction, perceptual, kl, total, discriminator ...) or a metric (rec_loss ...).",
    ),
]

Probe = Annotated[
    list[Path] | None,
    typer.Option(
        "--probe",
        metavar="FILE",
        help="What vaelab probe or vaelab evaluate measured on a checkpoint of this run (probe.json, evaluation.json). May"
        " be given twice. Beside the log of vaelab train they are found without it.",
    ),
]


class FailOn(str, Enum):
    """How bad a finding must be for exit code 1."""

    info = "info"
    warn = "warn"
    critical = "critical"


def diagnose(
    paths: Paths,
    format: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="What to print: terminal (default), json, markdown, html or sarif. A log format or trainer is taken "
            "here too, as for --dialect. May be given twice.",
        ),
    ] = None,
    dialect: Dialect = None,
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="End with exit code 1 if a finding is at least this bad.")
    ] = FailOn.critical,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    latent: Latent = None,
    clip: Clip = None,
    compression: Compression = None,
    channels: Channels = None,
    input_range: Range = None,
    roles: Map = None,
    probe: Probe = None,
    faulty_share: Annotated[
        float,
        typer.Option(
            "--faulty-share",
            metavar="SHARE",
            min=0.001,
            max=0.999,
            help="Share of runs that have a fault where this one comes from: confidence and scores of causes start from it.",
        ),
    ] = 0.3,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file instead of the screen.")
    ] = None,
) -> None:
    """Say what the numbers of a training log mean, whether the run is healthy, what is wrong and what to change.

    Examples:

    - **vaelab diagnose train.log**

    - **vaelab diagnose runs/ --fail-on warn**

    - **vaelab diagnose train.log --latent 16x3x32x32 --clip 17x256x256 --range -1,1**

    - **cat train.log | vaelab diagnose - -f json**

    Exit codes: 0 nothing as bad as --fail-on, 1 something is, 2 bad usage or unreadable input.
    """
    what, forced = output_and_dialect(format or (), OUTPUTS, dialect)
    declared = declared_config(config, latent, clip, compression, channels, input_range, roles)
    diagnoses = diagnose_paths(paths, forced, declared, select, ignore, probe or (), faulty_share)
    print_diagnoses(diagnoses, what, output)
    raise typer.Exit(1 if fails(diagnoses, fail_on.value) else 0)

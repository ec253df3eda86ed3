"""``vaelab diagnose``: what the numbers of a log mean, whether the run is healthy and what to change."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab.cli.declared import declared_config, measured_numbers
from vaelab.cli.reading import output_and_dialect, read_runs
from vaelab.errors import ConfigError

if TYPE_CHECKING:
    from vaelab.diagnosis import Diagnosis

SECONDS_A_DIAGNOSIS = 0.04  # at least, for the choice between one process and several
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


def diagnose_paths(
    paths: Sequence[str],
    dialect: str | None,
    declared: dict[str, Any] | None = None,
    select: Sequence[str] | None = None,
    ignore: Sequence[str] | None = None,
    probes: Sequence[Path] = (),
    faulty_share: float = 0.3,
) -> list[Diagnosis]:
    """Diagnoses of all runs in ``paths``; many are made on all cores. One line on standard error for each log among others that
    cannot be read. Raises LogError or ConfigError with one sentence."""
    from vaelab import diagnosis
    from vaelab.errors import LogError
    from vaelab.processes import cores_for, each
    from vaelab.run import ReadNote

    judge = partial(
        diagnosis.diagnose,
        select=rule_codes("--select", select),
        ignore=rule_codes("--ignore", ignore),
        faulty_share=faulty_share,
    )
    runs = read_runs(paths, dialect, declared)
    measured = measured_numbers(probes, len(runs))
    runs = [replace(r, measured={**r.measured, **measured}) for r in runs]
    if len(runs) == 1:
        return [judge(runs[0])]
    found = each(judge, runs, attrgetter("source"), cores_for(len(runs), SECONDS_A_DIAGNOSIS * len(runs)))
    problems = [result for result in found if isinstance(result, LogError)]
    judged = [result for result in found if not isinstance(result, LogError)]
    if not judged:
        raise problems[0]
    notes = tuple(ReadNote("unreadable", 1, str(problem)) for problem in problems)
    judged[0] = replace(judged[0], run=replace(judged[0].run, notes=(*judged[0].run.notes, *notes)))
    for text in dict.fromkeys(n.text for d in judged for n in d.run.notes if n.kind == "unreadable"):
        print(f"vaelab: not read: {text}", file=sys.stderr)  # the table of several runs has no place for it
    return judged


def rule_codes(option: str, values: Sequence[str] | None) -> tuple[str, ...]:
    """``["KL,ADV303", "rec"]`` -> ``("KL", "ADV303", "REC")``. Raises ConfigError if no rule begins so."""
    from vaelab.rules import ALL_RULES

    codes = tuple(code.strip().upper() for value in values or () for code in value.split(",") if code.strip())
    for code in codes:
        if not any(rule.code.startswith(code) for rule in ALL_RULES):
            raise ConfigError(f"{option} {code}: no rule's code begins so. 'vaelab rules' lists them.")
    return codes


def fails(diagnoses: Sequence[Diagnosis], fail_on: str) -> bool:
    """Whether a finding is at least as bad as ``fail_on``."""
    from vaelab.rules.base import SEVERITY_ORDER

    worst = (SEVERITY_ORDER[f.severity] for d in diagnoses for f in d.findings)
    return any(severity >= SEVERITY_ORDER[fail_on] for severity in worst)


def print_diagnoses(diagnoses: Sequence[Diagnosis], what: str, output: Path | None) -> None:
    """Lay ``diagnoses`` out as ``what`` on standard output or in ``output``."""
    from vaelab import report
    from vaelab.cli.output import console_for, write_out

    if what == "terminal":
        with console_for(output) as console:
            report.render(diagnoses, console)
    elif what == "sarif":
        from vaelab import __version__
        from vaelab.rules import ALL_RULES

        write_out(report.to_sarif(diagnoses, ALL_RULES, __version__), output)
    else:
        layouts: dict[str, Callable[[Sequence[Diagnosis]], str]] = {
            "json": report.to_json,
            "markdown": report.to_markdown,
            "html": report.to_html,
        }
        write_out(layouts[what](diagnoses), output)

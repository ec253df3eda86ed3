"""``vaelab lint``: faults of settings and launch scripts, before the GPU hours."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli.diagnose import FailOn
from vaelab.errors import ConfigError

if TYPE_CHECKING:
    from vaelab.lint import LintReport

OUTPUTS = ("text", "json", "sarif", "github")


def lint(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="CONFIG-or-SCRIPT",
            show_default=False,
            help="Presets, YAML files, launch scripts, Python settings, folders of runs, or - for standard input.",
        ),
    ],
    format: Annotated[
        str,
        typer.Option("--format", "-f", metavar="NAME", help="text, json, sarif or github (annotations in a workflow)."),
    ] = "text",
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="End with exit code 1 if a finding is at least this bad.")
    ] = FailOn.critical,
    select: Annotated[
        list[str] | None,
        typer.Option("--select", metavar="CODES", help="Check only these: codes or their beginnings, e.g. LNT1,PF-1."),
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="CODES", help="Leave these out: codes or their beginnings.")
    ] = None,
    skip_unknown: Annotated[
        bool,
        typer.Option(
            "--skip-unknown", help="Leave out files that are no settings of a known trainer; for hooks in CI."
        ),
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file instead of the screen.")
    ] = None,
) -> None:
    """Find faults in the settings of a training before it starts: vaelab's own, Pyramid-Flow's, RadioDiff's, VidTok's,
    latent-diffusion's, taming-transformers', generative-models', WF-VAE's, Open-Sora's, SEED-Voken's, diffusers' and others.

    Known faults of these trainers' public code are named where the file shows that they bite, or cannot rule it out. A
    comment **# vaelab: ignore LNT302** switches a finding off: at the end of a line for that line, alone for the file.

    Examples:

    - **vaelab lint train_causal_video_vae.sh**

    - **vaelab lint first_radio.yaml --fail-on warn**

    - **vaelab lint configs/*.yaml --format github**

    Exit codes: 0 nothing as bad as --fail-on, 1 something is, 2 bad usage or a file that cannot be read.
    """
    if format not in OUTPUTS:
        raise typer.BadParameter(f"{format!r} is not one of {', '.join(OUTPUTS)}", param_hint="--format")
    from vaelab.lint import NotSettingsError
    from vaelab.lint import lint as check

    chosen, left_out = _codes("--select", select), _codes("--ignore", ignore)
    reports: list[LintReport] = []
    errors: list[ConfigError] = []
    for file in files:
        try:
            reports += check(file, chosen, left_out)
        except NotSettingsError as error:
            errors += [] if skip_unknown else [error]
        except ConfigError as error:  # the other files are still worth a look
            errors.append(error)
    if reports or output is not None:
        _print(reports, format, output)
    for unread in errors:
        print(f"vaelab: {unread}", file=sys.stderr)
    raise typer.Exit(2 if errors else 1 if _fails(reports, fail_on.value) else 0)


def _codes(option: str, values: Sequence[str] | None) -> tuple[str, ...]:
    """``["LNT1,PF-1"]`` -> ``("LNT1", "PF-1")``. Raises ConfigError if no code begins so."""
    from vaelab.lint import KNOWN_BUGS, LINT_RULES

    known = {code.upper(): code for code in [*(rule.code for rule in LINT_RULES), *KNOWN_BUGS]}
    codes = []
    for word in (part.strip() for value in values or () for part in value.split(",") if part.strip()):
        match = next((code for upper, code in known.items() if upper.startswith(word.upper())), None)
        if match is None:
            raise ConfigError(f"{option} {word}: no code of lint begins so. 'vaelab rules' lists them.")
        codes.append(match[: len(word)])
    return tuple(codes)


def _fails(reports: Sequence[LintReport], fail_on: str) -> bool:
    from vaelab.rules.base import SEVERITY_ORDER

    worst = (SEVERITY_ORDER[f.severity] for report in reports for f in report.findings)
    return any(severity >= SEVERITY_ORDER[fail_on] for severity in worst)


def _print(reports: Sequence[LintReport], format: str, output: Path | None) -> None:
    from vaelab.cli.output import console_for, write_out

    if format == "text":
        from vaelab.lint.terminal import render

        with console_for(output) as console:
            render(reports, console)
    else:
        from vaelab.lint import formats

        text = {"json": formats.to_json, "sarif": formats.to_sarif, "github": formats.to_github}[format](reports)
        if text or output is not None:
            write_out(text, output)

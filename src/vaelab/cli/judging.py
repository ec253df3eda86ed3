"""Judging logs for a command: the diagnoses of all runs in some paths, their exit code, and their screen or report. Knows no options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaelab.cli.declared import measured_numbers
from vaelab.cli.reading import read_runs
from vaelab.errors import ConfigError

if TYPE_CHECKING:
    from vaelab.diagnosis import Diagnosis

SECONDS_A_DIAGNOSIS = 0.04  # at least, for the choice between one process and several


def diagnose_paths(
    paths: Sequence[str],
    dialect: str | None = None,
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


def fails(diagnoses: Sequence[Diagnosis], fail_on: str = "critical") -> bool:
    """Whether a finding is at least as bad as ``fail_on``."""
    from vaelab.rules.base import SEVERITY_ORDER

    worst = (SEVERITY_ORDER[f.severity] for d in diagnoses for f in d.findings)
    return any(severity >= SEVERITY_ORDER[fail_on] for severity in worst)


def print_diagnoses(diagnoses: Sequence[Diagnosis], what: str = "terminal", output: Path | None = None) -> None:
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

"""Reports of lint for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vaelab.lint.base import LintFinding, LintReport
from vaelab.lint.bugs import KNOWN_BUGS

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"critical": "bold red", "warn": "yellow", "info": "cyan"}
_WORDS = {"critical": ("critical", "critical"), "warn": ("warning", "warnings"), "info": ("note", "notes")}
OF_SETTINGS = "Settings"
OF_CODE = "Faults of the trainer's public code that no setting of this file avoids"
OPEN = "Cannot be ruled out: the file does not say"


def render(reports: Sequence[LintReport], console: Console) -> None:
    """The findings of each file with their lines, what to change, and a last line with the counts."""
    for report in reports:
        console.print()
        console.print(f"{report.source}: {report.title}", style="bold", markup=False)
        for heading, part in sections(report):
            if heading != OF_SETTINGS:
                console.print(f"  {heading}", style="dim bold", markup=False)
            for finding in part:
                _finding(report, finding, console)
        if not report.findings:
            console.print(f"  nothing found ({report.checked} checks)", style="green", markup=False)
        if report.suppressed:
            codes = ", ".join(dict.fromkeys(f.code for f in report.suppressed))
            console.print(f"  switched off by a comment in the file: {codes}", style="dim", markup=False)
    console.print()
    console.print(summary(reports), style="bold", markup=False)


def sections(report: LintReport) -> list[tuple[str, list[LintFinding]]]:
    """The findings under their headings, empty ones left out."""
    certain = [f for f in report.findings if f.certain]
    of_code = [f for f in certain if f.code in KNOWN_BUGS and f.line is None]
    parts = [
        (OF_SETTINGS, [f for f in certain if f not in of_code]),
        (OF_CODE, of_code),
        (OPEN, [f for f in report.findings if not f.certain]),
    ]
    return [(heading, part) for heading, part in parts if part]


def summary(reports: Sequence[LintReport]) -> str:
    """``2 critical, 1 warning. vaelab explain LNT101 says more.``"""
    severities = [f.severity for report in reports for f in report.findings]
    counts = [(severities.count(s), _WORDS[s]) for s in ("critical", "warn", "info")]
    shown = ", ".join(f"{n} {one if n == 1 else several}" for n, (one, several) in counts if n)
    if not shown:
        return "Nothing found."
    first = next(f.code for report in reports for f in report.findings)
    return f"{shown}. vaelab explain {first} says more."


def _finding(report: LintReport, finding: LintFinding, console: Console) -> None:
    from rich.padding import Padding
    from rich.text import Text

    place = f"{report.source}:{finding.line}  " if finding.line else ""
    name = "" if finding.code in KNOWN_BUGS else f" {finding.name}"
    head = Text.assemble("  ", place, (finding.severity, _STYLES[finding.severity]), f" {finding.code}{name}")
    console.print(head)
    console.print(Padding(Text(finding.message), (0, 0, 0, 6), expand=False))
    lines = [(f"-> {line}", "green") for line in finding.patch]
    lines += [(f"what to do: {finding.advice}", "green")] if finding.advice else []
    lines += [(f"in {finding.where}", "dim")] if finding.where else []
    lines += [(f"known as {known}", "dim") for known in finding.known_as]
    for text, style in lines:
        console.print(Padding(Text(text, style=style), (0, 0, 0, 6), expand=False))

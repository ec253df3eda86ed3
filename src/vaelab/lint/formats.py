"""Reports of lint for programs: JSON, SARIF 2.1.0, and annotations of GitHub Actions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vaelab import __version__
from vaelab.lint.base import LintFinding, LintReport
from vaelab.lint.bugs import KNOWN_BUGS
from vaelab.lint.rules import LINT_RULES

FORMAT = "vaelab.lint-1"
_SARIF_LEVEL = {"info": "note", "warn": "warning", "critical": "error"}
_GITHUB_LEVEL = {"info": "notice", "warn": "warning", "critical": "error"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_json(reports: Sequence[LintReport]) -> str:
    """All reports. patch: lines to change as the trainer spells them; certain: false where the file does not tell."""
    shown = [
        {
            "source": report.source,
            "trainer": report.plan.trainer,
            "title": report.title,
            "checked": report.checked,
            "effective_beta": report.plan.beta,
            "fork": list(report.plan.fork),
            "findings": [asdict(finding) for finding in report.findings],
            "suppressed": [asdict(finding) for finding in report.suppressed],
        }
        for report in reports
    ]
    return json.dumps({"format": FORMAT, "version": __version__, "reports": shown}, indent=2, ensure_ascii=False)


def to_github(reports: Sequence[LintReport]) -> str:
    """One workflow command a finding, which GitHub shows beside the line of a pull request."""
    lines = []
    for report, f in _all(reports):
        place = f"file={_escaped(report.source, True)}" + (f",line={f.line}" if f.line else "")
        title = _escaped(f"{f.code} {f.name}", True)
        lines.append(f"::{_GITHUB_LEVEL[f.severity]} {place},title={title}::{_escaped(text_of(f))}")
    return "\n".join(lines)


def to_sarif(reports: Sequence[LintReport]) -> str:
    """One SARIF run for all files."""
    findings = _all(reports)
    rules = {r.code: _rule(r.code, r.name, r.documentation()) for r in LINT_RULES}
    rules |= {b.code: _rule(b.code, b.name, f"{b.title}.\n\nWhat to do: {b.fix}.") for b in KNOWN_BUGS.values()}
    used = [code for code in rules if any(f.code == code for _, f in findings)]
    driver = {"name": "vaelab lint", "version": __version__, "rules": [rules[code] for code in used]}
    results = [_result(report, f, used.index(f.code)) for report, f in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def text_of(finding: LintFinding) -> str:
    """Message, change and known faults as one text of one line."""
    parts = [finding.message]
    parts += [f"Change: {'; '.join(finding.patch)}"] if finding.patch else []
    parts += [f"What to do: {finding.advice}"] if finding.advice else []
    parts += [f"In {finding.where}"] if finding.where else []
    parts += [f"Known as {'; '.join(finding.known_as)}"] if finding.known_as else []
    return ". ".join(part.rstrip(".") for part in parts) + "."


def _all(reports: Sequence[LintReport]) -> list[tuple[LintReport, LintFinding]]:
    return [(report, finding) for report in reports for finding in report.findings]


def _rule(code: str, name: str, documentation: str) -> dict[str, Any]:
    first = " ".join(documentation.split("\n\n")[0].split()) or name
    text = {"text": documentation or first, "markdown": documentation or first}
    return {
        "id": code,
        "name": name,
        "shortDescription": {"text": first},
        "fullDescription": {"text": first},
        "help": text,
    }


def _result(report: LintReport, finding: LintFinding, index: int) -> dict[str, Any]:
    path = Path(report.source)
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    location: dict[str, Any] = {"artifactLocation": {"uri": quote(path.as_posix())}}
    if finding.line:
        location["region"] = {"startLine": finding.line}
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _SARIF_LEVEL[finding.severity],
        "message": {"text": text_of(finding)},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"vaelab/lint": f"{finding.code}:{finding.option}:{report.title}"},
    }


def _escaped(text: str, is_property: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text

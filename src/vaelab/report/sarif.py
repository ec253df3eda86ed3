"""Findings as SARIF 2.1.0, which code hosts show beside the lines of a pull request."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vaelab.diagnosis import Diagnosis
from vaelab.report.layout import evidence_text, plain, sentence
from vaelab.rules.base import Finding, Rule

_LEVEL = {"info": "note", "warn": "warning", "critical": "error"}
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def to_sarif(diagnoses: Sequence[Diagnosis], rules: Sequence[type[Rule]], version: str | None = None) -> str:
    """One SARIF run for all logs. ``rules`` are the rule classes; ``version`` is vaelab's, the installed one if None."""
    findings = [(d, f) for d in diagnoses for f in d.findings]
    known = {rule.code: _rule(rule) for rule in rules}
    for _, f in findings:
        known.setdefault(f.code, {"id": f.code, "name": f.name, "shortDescription": {"text": f.name}})
    codes = list(known)
    driver = {"name": "vaelab", "version": version or _installed_version(), "rules": list(known.values())}
    results = [_result(d, f, codes.index(f.code)) for d, f in findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _installed_version() -> str:
    try:
        return metadata.version("vaelab")
    except metadata.PackageNotFoundError:
        return "0"


def _rule(rule: type[Rule]) -> dict[str, Any]:
    text = rule.documentation()
    first = text.split("\n\n")[0].replace("\n", " ") or rule.name
    return {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": {"text": first},
        "fullDescription": {"text": first},
        "help": {"text": text or first, "markdown": text or first},
    }


def _result(diagnosis: Diagnosis, finding: Finding, index: int) -> dict[str, Any]:
    evidence = "; ".join(evidence_text(e) for e in finding.evidence)
    text = sentence(finding.message) + (f" {sentence(evidence)}" if evidence else "")
    location: dict[str, Any] = {"artifactLocation": {"uri": _uri(diagnosis.run.source)}}
    if line := _line(diagnosis, finding):
        location["region"] = {"startLine": line}
    return {
        "ruleId": finding.code,
        "ruleIndex": index,
        "level": _LEVEL[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"vaelab/finding": f"{finding.code}:{finding.phase or ''}"},
    }


def _line(diagnosis: Diagnosis, finding: Finding) -> int | None:
    """The line of the finding: of its evidence, else of its metric at the finding's first step."""
    for evidence in finding.evidence:
        if evidence.line:
            return evidence.line
    run = diagnosis.run
    for metric in finding.metrics:
        rows = run.rows(metric)
        at = rows[run.steps[rows] >= (finding.first_step or 0)]
        if len(at) and (line := run.line(metric, int(at[0]))):
            return line
    return None


def _uri(source: str) -> str:
    """``source`` as a URI reference, relative to the working directory where it lies under it."""
    if "://" in source:
        return quote(plain(source), safe="/:@#")
    path = Path(plain(source))
    if path.is_absolute() and path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return quote(path.as_posix())

"""Rules and known faults on plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vaelab.config.foreign import sources
from vaelab.dialects.plan import Plan
from vaelab.errors import ConfigError
from vaelab.lint.base import LintFinding, LintReport
from vaelab.lint.bugs import KNOWN_BUGS, Bug
from vaelab.lint.reading import ALL, Suppressed, read
from vaelab.lint.rules import LINT_RULES
from vaelab.rules.base import SEVERITY_ORDER, Severity

MILDER: dict[Severity, Severity] = {"critical": "warn", "warn": "info", "info": "info"}


def lint(source: str, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> list[LintReport]:
    """The findings on every training that ``source`` describes; see ``reading.read`` for what it may be.

    select, ignore: codes or their beginnings. Raises ConfigError if the source cannot be read.
    """
    document = read(source)
    reports = []
    for number, plan in enumerate(document.plans, 1):
        several = f", training {number} of {len(document.plans)}" if len(document.plans) > 1 else ""
        found = [f for f in _checked(plan, document.source) if _chosen(f.code, select, ignore)]
        kept = tuple(f for f in found if not _off(f, document.suppressed))
        off = tuple(f for f in found if f not in kept)
        checked = sum(_chosen(code, select, ignore) for code in codes_for(plan))
        reports.append(LintReport(document.source, f"{plan.title}{several}", plan, kept, off, checked))
    return reports


def _checked(plan: Plan, source: str) -> list[LintFinding]:
    try:
        return check(plan)
    except ArithmeticError:
        raise ConfigError(
            f"{source} gives a size or a number of steps that is 0, or larger than any training has: correct it, and the rest"
            " can be checked"
        ) from None


def codes_for(plan: Plan) -> list[str]:
    """Codes of all rules, and of the known faults of the plan's trainer."""
    return [rule.code for rule in LINT_RULES] + [bug.code for bug in _bugs(plan)]


def check(plan: Plan) -> list[LintFinding]:
    """All findings on ``plan``: what is certain first, then by severity and line."""
    found = [finding for rule in LINT_RULES for finding in rule().check(plan)]
    for bug in _bugs(plan):
        if (answer := bug.when(plan)) is not False:
            named = _named_beside(found, bug, plan)
            found = named if named is not None else [*found, _of_bug(bug, plan, bool(answer))]
    return sorted(found, key=lambda f: (not f.certain, -SEVERITY_ORDER[f.severity], f.line or 0, f.code))


def _bugs(plan: Plan) -> list[Bug]:
    """The known faults of the trainer's public code; a fork may have mended them."""
    return [bug for bug in KNOWN_BUGS.values() if plan.trainer in bug.trainers and not plan.fork]


def where(bug: Bug, trainer: str) -> str:
    """``jy0205/Pyramid-Flow at 3040d71, trainer_misc/utils.py:105``"""
    return f"{sources()[trainer].source}, {bug.place(trainer)}"


def _named_beside(found: list[LintFinding], bug: Bug, plan: Plan) -> list[LintFinding] | None:
    """``found`` with the fault named beside the findings of its rule; None where that rule found nothing."""
    same = [f for f in found if bug.rule and f.code == bug.rule and (not bug.options or f.option in bug.options)]
    if not same:
        return None
    name = f"{bug.code} ({where(bug, plan.trainer)})"
    return [
        _with_one_advice(replace(f, known_as=(*f.known_as, name), patch=bug.patch or f.patch), bug) if f in same else f
        for f in found
    ]


def _with_one_advice(finding: LintFinding, bug: Bug) -> LintFinding:
    """The change where there is one, else the bug's words: two of them side by side have contradicted each other."""
    return replace(finding, advice="" if finding.patch else bug.fix)


def _of_bug(bug: Bug, plan: Plan, certain: bool) -> LintFinding:
    message = bug.title
    if not certain:
        message += f". It bites if {' and '.join(bug.when.open_questions(plan))}, which the file does not say"
    option = next((key for key in bug.options if key in plan.options), "")
    severity = bug.severity if certain else MILDER[bug.severity]
    line, place = plan.options.line(option), where(bug, plan.trainer)
    finding = LintFinding(bug.code, bug.name, severity, message, line, option, bug.patch, certain, where=place)
    return _with_one_advice(finding, bug)


def _chosen(code: str, select: Sequence[str], ignore: Sequence[str]) -> bool:
    return (not select or code.startswith(tuple(select))) and not (ignore and code.startswith(tuple(ignore)))


def _off(finding: LintFinding, suppressed: Suppressed) -> bool:
    codes = suppressed.get("", frozenset()) | (
        suppressed.get(finding.option, frozenset()) if finding.option else frozenset()
    )
    return finding.code in codes or ALL in codes

"""Ranking: the causes that the findings support, which finding each explains, and what to change in the trainer's own settings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from vaelab.causes import CAUSES, Cause
from vaelab.causes.changes import resolved, shown
from vaelab.causes.infer import FAULTY_SHARE, Belief, Posterior, infer_causes, word_for
from vaelab.diagnosis.commands import deciding_command
from vaelab.diagnosis.types import NextStep, RankedCause
from vaelab.facts import Facts
from vaelab.rules import SEVERITY_ORDER
from vaelab.rules.base import Finding

SHOWN = 6
LEAST = 0.02
"""Share of belief below which a cause is not named beside a first one."""
BESIDE = 0.4
"""Share of belief that a second cause needs on the findings that the first one leaves unexplained."""


def rank(
    facts: Facts,
    findings: Sequence[Finding],
    checked: Collection[str],
    reach: float = 1.0,
    faulty_share: float = FAULTY_SHARE,
) -> tuple[Posterior, tuple[RankedCause, ...]]:
    """The posterior, and the causes supported by at least one finding of severity warn or more, likeliest first, at most six.

    A cause that the first one leaves findings for comes right after it (``also``): two faults at once are named both.
    """
    posterior = infer_causes(facts, findings, CAUSES.values(), checked, reach, faulty_share)
    supported = [b for b in posterior.beliefs if b.supported]
    shown_ = [b for i, b in enumerate(supported[:SHOWN]) if i == 0 or b.share >= LEAST]
    ranked = [_ranked(facts, findings, b) for b in shown_]
    if ranked and (second := _second(facts, findings, shown_[0], checked, reach, faulty_share)) is not None:
        ranked = [ranked[0], _ranked(facts, findings, second, also=True)] + [
            r for r in ranked[1:] if r.id != second.cause.id
        ]
    return posterior, tuple(ranked[:SHOWN])


def _second(
    facts: Facts,
    findings: Sequence[Finding],
    first: Belief,
    checked: Collection[str],
    reach: float,
    faulty_share: float,
) -> Belief | None:
    """The cause that often shows the gravest findings, of severity warn or more, which the first cause does not explain."""
    left = [f for f in findings if f.severity != "info" and not _explains(first.cause, f)]
    if not left:
        return None
    worst = max(SEVERITY_ORDER[f.severity] for f in left)
    grave = [f for f in left if SEVERITY_ORDER[f.severity] == worst]
    others = [c for c in CAUSES.values() if c.id != first.cause.id and c.fault]
    rest = infer_causes(facts, grave, others, checked, reach, faulty_share)
    for belief in rest.beliefs[:1]:
        if belief.share >= BESIDE and any(word_for(belief.cause, f) == "often" for f in grave):
            return belief
    return None


def link(facts: Facts, findings: Sequence[Finding], causes: Sequence[RankedCause]) -> tuple[Finding, ...]:
    """Findings, gravest first, with ``explained_by``: of those that the first cause expects (or a second one that acts beside it),
    all follow from the gravest that it expects often."""
    ordered = sorted(findings, key=lambda f: (-SEVERITY_ORDER[f.severity], f.first_step or 0, f.code))
    root_of: dict[int, str] = {}
    for ranked in (*causes[:1], *(c for c in causes[1:2] if c.also)):
        cause = CAUSES[ranked.id]
        mine = [f for f in ordered if _explains(cause, f) and id(f) not in root_of]
        root = next((f for f in mine if word_for(cause, f) == "often" and f.severity != "info"), None)
        if root is not None:
            root_of |= {id(f): root.code for f in mine}
    return tuple(
        replace(f, explained_by=by if (by := root_of.get(id(f))) != f.code else None) if id(f) in root_of else f
        for f in ordered
    )


def _explains(cause: Cause, finding: Finding) -> bool:
    return word_for(cause, finding) in ("often", "sometimes")


def _ranked(facts: Facts, findings: Sequence[Finding], belief: Belief, also: bool = False) -> RankedCause:
    cause = belief.cause
    present = [r for r in belief.reasons if r.finding is not None]
    pro = [
        r.finding
        for r in sorted(present, key=lambda r: -r.weight)
        if r.finding is not None and _explains(cause, r.finding)
    ]
    con = [r.finding for r in present if r.finding is not None and word_for(cause, r.finding) == "never"]
    return RankedCause(
        id=cause.id,
        name=cause.name,
        title=cause.title,
        score=belief.share,
        supporting=_named(pro),
        opposing=_named(con),
        findings=tuple(dict.fromkeys(f.code for f in pro)),
        test=cause.test,
        fix=_fix(facts, cause),
        also=also,
        tested=belief.test.text if belief.test is not None else "",
    )


def _named(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f"{f.code} {f.name}" for f in findings))


def _fix(facts: Facts, cause: Cause) -> NextStep:
    """The cause's advice with a patch in the trainer's own settings; those that it does not have, or has so already, drop out."""
    options = facts.view.trainer.options
    changes = {key: value for key, value in resolved(cause.change, facts).items() if not options or key in options}
    patch = tuple(options.get(key, f"{key}: {{}}").format(shown(value)) for key, value in changes.items())
    return NextStep(
        cause.advice,
        patch,
        cause.expected,
        cause.falsify,
        cause.id,
        deciding_command(facts, cause),
        changes=changes,
    )

"""Inference: from findings to a posterior over the causes, "healthy" and "not in the list".

Naive Bayes with three words per cause and finding in place of weights. What each finding adds is kept: it is the explanation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from vaelab.causes.needs import met
from vaelab.causes.types import Cause, CheckResult

if TYPE_CHECKING:
    from vaelab.facts import Facts
    from vaelab.rules.base import Finding

FAULTY_SHARE = 0.3
"""Share of runs that have a fault, where nothing else is said: stated in every report, set with ``--faulty-share``."""
OFTEN = {"often": 0.6, "sometimes": 0.15}
"""P(finding | a cause that shows it often, or sometimes)."""
HEALTHY = {"info": 0.1, "warn": 0.01, "critical": 0.0005}
"""P(a given rule finds something of this severity | no fault); on the bench's tune part 0.03, 0.003 and under 0.0002."""
UNNAMED = {"info": 0.1, "warn": 0.02, "critical": 0.005}
"""P(the same | a cause that does not name it): a faulty run shows more than was thought of (0.03, 0.004 and
0.003 there). A cause that is not in the list names none."""
NEVER = 0.2
"""Factor on that where the cause says never."""
UNLISTED = 0.1
"""Share of the faults that are not in the list."""
ABSENT = 0.3
"""How much an expected finding that is absent counts, beside one that is there: rules are built to be silent when in doubt."""
SILENT = 0.25
"""P(nothing at all of what it shows often | cause), where all of that was looked for."""
TEST = (0.9, 0.2)
"""P(the log's own test holds | cause) and in any other run."""


@dataclass(frozen=True)
class Reason:
    """What one finding, absence or test says of a cause: ``weight`` is log P(it | cause) - log P(it | healthy)."""

    key: str
    weight: float
    finding: Finding | None = None


@dataclass(frozen=True)
class Belief:
    """A cause with its share of belief. supported: some finding of severity warn or more is expected by it."""

    cause: Cause
    share: float
    reasons: tuple[Reason, ...]
    test: CheckResult | None
    supported: bool


@dataclass(frozen=True)
class Posterior:
    """Shares of belief that sum to 1. healthy: no fault, harmless look-alikes included. unlisted: a fault that is not in the list.
    beliefs: every cause that can act, likeliest first."""

    healthy: float
    unlisted: float
    beliefs: tuple[Belief, ...]


@cache
def _counted() -> Mapping[str, Mapping[str, float]]:
    """Cause -> key -> share of runs with the finding, where they were counted (``causes/rates.json``); words stand in elsewhere."""
    path = files("vaelab.causes").joinpath("rates.json")
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def items(facts: Facts, findings: Iterable[Finding]) -> dict[tuple[str, str], Finding]:
    """(code, role of the first metric for generic rules, else empty) -> the gravest finding of that kind."""
    found: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        generic = finding.code.startswith("MET") and finding.metrics
        key = (finding.code, facts.view.role(finding.metrics[0]).name if generic else "")
        if key not in found or HEALTHY[finding.severity] < HEALTHY[found[key].severity]:
            found[key] = finding
    return found


def expected(cause: Cause, code: str, role: str) -> str:
    """The word that ``cause`` has for a finding; empty if it names none."""
    return cause.expects.get(f"{code}:{role}") or cause.expects.get(code) or ""


def infer_causes(
    facts: Facts,
    findings: Sequence[Finding],
    causes: Iterable[Cause],
    checked: Collection[str],
    reach: float,
    faulty_share: float = FAULTY_SHARE,
) -> Posterior:
    """The posterior. checked: codes of the rules that ran. reach: how far absent findings count at all, in [0, 1] (few rows
    show little). Raises ValueError unless 0 < faulty_share < 1."""
    if not 0 < faulty_share < 1:
        raise ValueError(f"faulty_share is {faulty_share}; it must lie between 0 and 1")
    seen = items(facts, findings)
    possible = [c for c in causes if c.expects and all(met(need, facts) for need in c.needs)]
    faults = sum(c.fault for c in possible)
    prior = faulty_share * (1 - UNLISTED) / max(1, faults)
    logs: list[float] = [math.log(1 - faulty_share)]
    logs.append(math.log(faulty_share * UNLISTED) + sum(_log_ratio("", f.severity) for f in seen.values()))
    judged = []
    for cause in possible:
        reasons, test = _reasons(facts, cause, seen, checked, reach)
        supported = any(
            f.severity != "info" and expected(cause, *key) in ("often", "sometimes") for key, f in seen.items()
        )
        judged.append((cause, reasons, test, supported))
        logs.append(math.log(prior) + sum(r.weight for r in reasons))
    top = max(logs)
    shares = [math.exp(value - top) for value in logs]
    total = sum(shares)
    beliefs = [
        Belief(cause, share / total, reasons, test, supported)
        for share, (cause, reasons, test, supported) in zip(shares[2:], judged, strict=True)
    ]
    harmless = sum(b.share for b in beliefs if not b.cause.fault)
    return Posterior(
        shares[0] / total + harmless,
        shares[1] / total,
        tuple(sorted(beliefs, key=lambda b: (-b.share, b.cause.id))),
    )


def _reasons(
    facts: Facts,
    cause: Cause,
    seen: Mapping[tuple[str, str], Finding],
    checked: Collection[str],
    reach: float,
) -> tuple[tuple[Reason, ...], CheckResult | None]:
    counted = _counted().get(cause.id, {})
    reasons, present = [], set()
    for (code, role), finding in seen.items():
        rate = counted.get(f"{code}:{role}", counted.get(code))
        reasons.append(Reason(code, _log_ratio(expected(cause, code, role), finding.severity, rate), finding))
        present |= {code, f"{code}:{role}"}
    named = any(expected(cause, *key) in ("often", "sometimes") for key in seen)
    roles = {track.role.name for track in facts.tracks.values()}
    often = [key for key, word in cause.expects.items() if word == "often"]
    looked_for = [k for k in cause.expects if k.split(":")[0] in checked and roles.issuperset(k.split(":")[1:])]
    if named:
        for key in looked_for:
            rate = counted.get(key, OFTEN.get(cause.expects[key], 0.0))
            if key not in present and rate > HEALTHY["warn"]:
                reasons.append(Reason(key, ABSENT * reach * math.log((1 - rate) / (1 - HEALTHY["warn"]))))
    elif often:
        share = sum(key in looked_for for key in often) / len(often)
        reasons.append(Reason("silence", share * reach * math.log(SILENT)))
    test = cause.check(facts) if cause.check is not None and named else None
    if test is not None:
        here, elsewhere = TEST if test.holds else (1 - TEST[0], 1 - TEST[1])
        reasons.append(Reason("test", math.log(here / elsewhere)))
    return tuple(reasons), test


def _log_ratio(word: str, severity: str, rate: float | None = None) -> float:
    """log P(a finding of this severity | a cause with this word for it) - log P(it | healthy); rate: a counted one."""
    unnamed = UNNAMED[severity]
    if rate is None:
        rate = NEVER * unnamed if word == "never" else max(unnamed, OFTEN.get(word, 0.0))
    return math.log(rate / HEALTHY[severity])

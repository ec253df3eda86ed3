"""Inference: from findings to a posterior over the causes, "healthy" and "not in the list".

Naive Bayes with three words per cause and finding in place of weights. What each finding adds is kept: it is the explanation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
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
UNNAMED = {"info": 0.1, "warn": 0.02, "critical": 0.001}
"""P(the same | a cause that does not name it): a faulty run shows more than was thought of (0.03, 0.004 and
0.003 there; less here of a critical one, since the first cause of a verdict has to explain what the verdict is about). A cause that is
not in the list names none. Halved or tripled, each of these numbers changes the right first causes of that part by 2 in 100 at most: what
separates causes is what they expect."""
COMMON = {"ADV303 info": 0.34, "DAT710 warn": 0.07}
"""P(finding | no fault) where healthy runs show it far more often than its severity says, and faulty ones no less: counted by
``benchmarks/faultbench/count.py``. Rates of all findings, or of each cause, did worse on mechanisms, systems and trainers that they were not
counted on."""
NEVER = 0.2
"""Factor on that where the cause says never."""
UNLISTED = 0.1
"""Share of the faults that are not in the list."""
ABSENT = 0.3
"""How much an expected finding that is absent counts, beside one that is there: rules are built to be silent when in doubt."""
SAME_SUBJECT = 0.5
"""How much a further finding on one subject counts beside the gravest: several rules see what is wrong with one column. Between 0.3 and 0.8 the right
first causes of the bench's tune part differ by 1 in 100; with 1 there are 2 in 100 less, and a wrong first cause is believed more."""
OUTPUT = ("reconstruction", "perceptual", "quality", "total")
"""Roles that are one subject here: a worse picture raises all of them."""
SILENT = 0.1
"""P(nothing at all of what it shows often | cause), where all of that was looked for: 12 of 132 faulty runs of the bench's tune part."""
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


def seen_by_key(findings: Iterable[Finding]) -> dict[str, Finding]:
    """Code, and ``CODE:subject`` -> the gravest finding of that kind."""
    found: dict[str, Finding] = {}
    for finding in findings:
        for key in (finding.code, f"{finding.code}:{finding.subject}"):
            if key not in found or HEALTHY[finding.severity] < HEALTHY[found[key].severity]:
                found[key] = finding
    return found


def word_for(cause: Cause, finding: Finding) -> str:
    """The word that ``cause`` has for ``finding``; empty if it names none."""
    words = (cause.expects.get(key) for key in reversed(seen_by_key([finding])))
    return next((word for word in words if word), "")


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
    seen, counts = seen_by_key(findings), _counts(findings)
    roles = {track.role.name for track in facts.tracks.values()}
    possible = [c for c in causes if c.expects and all(met(need, facts) for need in c.needs)]
    prior = math.log(faulty_share * (1 - UNLISTED) / max(1, sum(c.fault for c in possible)))
    # what a cause that names none of the findings makes of them
    unnamed = sum(counts[id(f)] * _log_ratio("", f) for key, f in seen.items() if key == f.code)
    logs = [math.log(1 - faulty_share), math.log(faulty_share * UNLISTED) + unnamed]
    judged = []
    for cause in possible:
        looked_for = [k for k in cause.expects if k.split(":")[0] in checked and roles.issuperset(k.split(":")[1:])]
        # a finding that is named by its code and by its subject too counts once, by the word for the subject
        named = {id(f): (key, f) for key in sorted(cause.expects, key=len) if (f := seen.get(key)) is not None}
        reasons = [Reason(key, counts[i] * _log_ratio(cause.expects[key], f), f) for i, (key, f) in named.items()]
        supported = any(r.finding.severity != "info" for r in reasons if r.finding and cause.expects[r.key] != "never")
        test = cause.check(facts) if supported and cause.check is not None else None
        reasons += _absent(cause, seen, looked_for, reach)
        if test is not None:
            here, elsewhere = TEST if test.holds else (1 - TEST[0], 1 - TEST[1])
            reasons.append(Reason("test", math.log(here / elsewhere)))
        known = sum(counts[id(r.finding)] * _log_ratio("", r.finding) for r in reasons if r.finding is not None)
        logs.append(prior + unnamed - known + sum(r.weight for r in reasons))
        judged.append(Belief(cause, 0.0, tuple(reasons), test, supported))
    top = max(logs)
    shares = [math.exp(value - top) for value in logs]
    total = sum(shares)
    beliefs = [replace(belief, share=share / total) for share, belief in zip(shares[2:], judged, strict=True)]
    harmless = sum(b.share for b in beliefs if not b.cause.fault)
    ordered = tuple(sorted(beliefs, key=lambda b: (-b.share, b.cause.id)))
    return Posterior(shares[0] / total + harmless, shares[1] / total, ordered)


def _counts(findings: Iterable[Finding]) -> dict[int, float]:
    """id of a finding -> 1 for the gravest of its subject, ``SAME_SUBJECT`` for the others."""
    counts: dict[int, float] = {}
    met_subjects: set[str] = set()
    for finding in sorted(findings, key=lambda f: HEALTHY[f.severity]):
        subject = "output" if finding.subject in OUTPUT else finding.subject or finding.code
        counts[id(finding)] = SAME_SUBJECT if subject in met_subjects else 1.0
        met_subjects.add(subject)
    return counts


def _absent(cause: Cause, seen: Mapping[str, Finding], looked_for: Sequence[str], reach: float) -> list[Reason]:
    """What it says that findings were looked for and are absent: of each, where some are there, else of all together."""
    words = cause.expects
    if any(key in seen and word != "never" for key, word in words.items()):
        rates = {k: OFTEN[words[k]] for k in looked_for if k not in seen and words[k] != "never"}
        return [Reason(k, ABSENT * reach * math.log((1 - r) / (1 - HEALTHY["warn"]))) for k, r in rates.items()]
    often = [key for key, word in words.items() if word == "often"]
    share = sum(key in looked_for for key in often) / max(1, len(often))
    return [Reason("silence", share * reach * math.log(SILENT))]


def _log_ratio(word: str, finding: Finding) -> float:
    """log P(a finding of this kind and severity | a cause with this word for it) - log P(it | healthy)."""
    common = COMMON.get(f"{finding.code} {finding.severity}", 0.0)
    healthy, unnamed = common or HEALTHY[finding.severity], max(common, UNNAMED[finding.severity])
    rate = NEVER * unnamed if word == "never" else max(unnamed, OFTEN.get(word, 0.0))
    return math.log(rate / healthy)

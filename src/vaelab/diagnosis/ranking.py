"""Ranking: causes by the findings they predict and exclude; findings that follow from others; patches."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from vaelab.causes import CAUSES, Cause
from vaelab.diagnosis.calibration import calibrated_shares
from vaelab.diagnosis.commands import deciding_command
from vaelab.diagnosis.types import NextStep, RankedCause
from vaelab.facts import Facts
from vaelab.rules import SEVERITY_ORDER
from vaelab.rules.base import Finding

SEVERITY_WEIGHT = {"info": 0.5, "warn": 0.8, "critical": 1.0}
SOMETHING_ELSE = 1.0
"""Log-odds of "a cause that is not in the list": no cause gets near 1 on thin evidence."""

FOLLOWED = 0.5
"""Weight of a finding that follows from another one, for causes that do not predict that other one."""

NEEDS_GAN = {"D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12", "D14", "D16", "D17"}
"""Causes that can only act while the GAN is on."""

FOLLOWS: dict[str, tuple[str, ...]] = {
    "REC101": ("REC110", "REC104", "REC102", "OPT403", "ADV307"),
    "REC110": ("KL206", "KL209", "REC104", "ADV307", "ADV308", "OPT404", "RES801", "KL205", "OPT403"),
    "REC106": ("REC110", "ADV307", "REC104"),
    "KL210": ("KL206", "KL201"),
    "REC113": ("KL201",),
    "KL211": ("DAT704", "REC103"),
    "REC112": ("REC103",),
    "ADV316": ("ADV317",),
    "REC119": ("REC117", "REC131", "KL222"),
    "REC102": ("OPT403", "KL205"),
    "REC103": ("REC113", "ADV304", "ADV317", "KL201", "KL206", "REC107"),
    "DAT705": ("DAT701",),
    "DAT710": ("OPT409", "OPT403", "OPT405"),
    "DAT701": ("REC116",),
    "DAT709": ("DAT701",),
    "REC104": ("REC116", "DAT701", "OPT404", "RES801"),
    "REC108": ("KL201", "DAT701"),
    "DAT707": ("DAT708", "DAT704"),
    "REC117": ("REC116", "KL201", "KL206"),
    "KL209": ("SCH606",),
    "KL202": ("KL206", "DAT704"),
    "KL213": ("NUM501",),
    "KL215": ("NUM501",),
    "KL204": ("KL201",),
    "ADV303": ("ADV304", "DAT708", "ADV331", "ADV332"),
    "KL214": ("KL222", "KL221"),
    "KL201": ("KL222",),
    "REC131": ("KL222",),
    "NUM508": ("REC136",),
    "OPT401": ("OPT421",),
    "RES801": ("RES802",),
    "NUM504": ("NUM509",),
    "ADV305": ("KL201", "REC103", "REC116", "NUM509", "OPT407", "DAT701", "DAT704", "REC107", "KL206", "OPT403"),
    "ADV307": ("ADV304", "ADV317", "ADV308", "DAT701", "OPT404"),
    "ADV301": ("ADV318",),
    "ADV308": ("DAT708",),
    "ADV309": ("ADV308",),
    "ADV311": ("KL206",),
    "ADV312": ("ADV308",),
    "OPT402": ("REC110", "ADV308", "OPT403", "KL206", "REC104"),
    "KL206": ("OPT403", "OPT404"),
    "NUM502": ("OPT403",),
    "NUM503": ("NUM502", "NUM501"),
    "OPT405": ("OPT403", "OPT404"),
    "MET1001": ("KL215", "NUM501", "REC104", "REC110", "ADV307", "ADV305", "OPT403", "OPT404", "REC109", "REC115"),
    "MET1002": ("NUM501", "REC104", "DAT701", "RES801", "OPT404", "KL215"),
    "MET1006": ("KL215", "ADV308", "ADV307", "KL206", "OPT403", "NUM501", "RES801"),
    "MET1003": ("REC103", "REC113", "KL201", "KL209", "OPT407", "OPT410"),
}
"""Finding -> findings it follows from when they are present, nearest first."""


def link(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Findings with ``explained_by`` set to the code of the finding they follow from, most severe first."""
    codes = {f.code for f in findings}
    linked = [replace(f, explained_by=next((c for c in FOLLOWS.get(f.code, ()) if c in codes), None)) for f in findings]
    return tuple(sorted(linked, key=lambda f: (-SEVERITY_ORDER[f.severity], f.first_step or 0, f.code)))


def rank(facts: Facts, findings: Sequence[Finding]) -> tuple[RankedCause, ...]:
    """Causes supported by at least one finding of severity warn or more, best first, at most six.

    Scores are a softmax of log-odds over the supported causes and "something else", calibrated on the fault bench.
    """
    best: dict[str, Finding] = {}
    for finding in findings:
        seen = best.get(finding.code)
        if seen is None or SEVERITY_ORDER[finding.severity] > SEVERITY_ORDER[seen.severity]:
            best[finding.code] = finding
    gan_on = facts.adversary is not None or "probe.gradient_share_gan" in facts.run.measured
    supported: list[tuple[float, Cause, list[Finding], list[Finding]]] = []
    for cause in CAUSES.values():
        pro = [best[c] for c in cause.predicts if c in best]
        con = [best[c] for c in cause.excludes if c in best]
        if not any(f.severity != "info" for f in pro) or (cause.id in NEEDS_GAN and not gan_on):
            continue
        logit = math.log(cause.prior) / 2
        logit += sum(cause.predicts[f.code] * SEVERITY_WEIGHT[f.severity] * _own(f, cause) for f in pro)
        logit -= sum(cause.excludes[f.code] * SEVERITY_WEIGHT[f.severity] for f in con)
        supported.append((logit, cause, pro, con))
    if not supported:
        return ()
    top = max(max(s[0] for s in supported), SOMETHING_ELSE)
    weights = [math.exp(s[0] - top) for s in supported]
    total = sum(weights) + math.exp(SOMETHING_ELSE - top)
    ranked = sorted(zip(weights, supported, strict=True), key=lambda t: (-t[0], t[1][1].id))
    scores = calibrated_shares([weight / total for weight, _ in ranked])
    causes: list[RankedCause] = []
    for score, (_, (_, cause, pro, con)) in zip(scores[:6], ranked, strict=False):
        if score < 0.02 and causes:
            break
        pro = sorted(pro, key=lambda f: -cause.predicts[f.code] * SEVERITY_WEIGHT[f.severity])
        causes.append(
            RankedCause(
                cause.id,
                cause.name,
                cause.title,
                score,
                tuple(f"{f.code} {f.name}" for f in pro),
                tuple(f"{f.code} {f.name}" for f in con),
                tuple(f.code for f in pro),
                cause.test,
                _fix(facts, cause),
            )
        )
    return tuple(causes)


def _own(finding: Finding, cause: Cause) -> float:
    """How much a finding says of ``cause``: less where it follows from another one that the cause does not predict."""
    return FOLLOWED if finding.explained_by is not None and finding.explained_by not in cause.predicts else 1.0


def _fix(facts: Facts, cause: Cause) -> NextStep:
    """The cause's fix with a patch in the trainer's own flags; options that it does not have, or has so already, drop out."""
    jump = facts.optimiser.lr_jumps[0] if facts.optimiser.lr_jumps else None
    if cause.id == "E1" and jump is not None:
        text = f"Go back to the checkpoint before step {jump[0]:,} and find what raised the learning rate there."
        return NextStep(text, (), cause.expected, cause.falsify, cause.id, deciding_command(facts, cause.id))
    patch = []
    for key, change in cause.fix.options.items():
        options = facts.view.trainer.options
        if options and key not in options:
            continue
        value = _value(facts, cause.id, key) or _scaled(facts, key, change)
        if value is None and re.fullmatch(r"[\w.,-]+", change):
            value = change
        declared = facts.run.config.get(key)
        if value is not None and (value == str(declared) or value == str(declared).lower()):
            continue
        patch.append(options.get(key, f"{key}: {{}}").format(value) if value is not None else f"{key}: {change}")
    command = deciding_command(facts, cause.id)
    return NextStep(cause.fix.text, tuple(patch), cause.expected, cause.falsify, cause.id, command)


def _scaled(facts: Facts, key: str, change: str) -> str | None:
    """ "divide by 3 to 10" applied to the declared or solved value (geometric middle of the range)."""
    match = re.match(r"(divide|multiply) by ([\d.]+)(?: to ([\d.]+))?", change)
    solved = facts.algebra.solved.get(key)
    now = facts.view.number(key)
    if now is None and solved is not None:
        now = solved.value
    if match is None or not now:
        return None
    factor = math.sqrt(float(match[2]) * float(match[3] or match[2]))
    return f"{now / factor if match[1] == 'divide' else now * factor:.2g}"


def _value(facts: Facts, cause: str, key: str) -> str | None:
    """A concrete value for the patch where the run's own numbers give one."""
    now = facts.view.number(key)
    solved = facts.algebra.solved.get(key)
    if now is None and solved is not None:
        now = solved.value
    if key == "kl_weight" and cause in ("C1", "C2") and now and facts.scales.effective_beta:
        beta = facts.scales.effective_beta
        # the published 1e-6 in sum/sum units, in this trainer's own reduction
        return f"{now * 1e-6 / beta:.1g}" if beta > 1e-5 else None
    if key == "lr" and cause == "E1":
        peak = now or facts.optimiser.lr_peak
        return None if not peak else "0.0001" if peak > 0.01 else f"{peak / 3:.1g}"
    if key == "disc_weight" and cause in ("D6", "D7") and now:
        return "0.5" if now > 1 else f"{now * 0.2:.2g}"
    if key == "disc_start" and cause == "D1" and facts.progress.planned:
        return str(facts.progress.planned // 3)
    if key == "perceptual_weight" and now and now > 1:
        return "1"
    start = facts.phases.gan.start_step
    if key == "disc_start" and cause in ("D4", "D6") and start and (facts.progress.planned or 0) > 2.2 * start:
        return str(2 * start)
    if key == "warmup_steps" and now:
        return f"{2 * now:g}"
    if key == "clip_grad" and facts.optimiser.suggested:
        return f"{facts.optimiser.suggested:.2g}"
    return None

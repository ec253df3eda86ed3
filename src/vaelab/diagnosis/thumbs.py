"""Rules of thumb: where a value lies in a band that a normalised fact refutes, the report says so."""

from __future__ import annotations

from vaelab.catalog import METRICS, Band
from vaelab.facts import Evidence, Fact, Facts
from vaelab.words import number


def refuted_bands(facts: Facts) -> tuple[Fact, ...]:
    """One statement for each refuted band of the catalogue that the present value falls into."""
    statements = []
    for name, metric in METRICS.items():
        series = facts.view.series(name)
        if not len(series) or (metric.family == "adversarial" and facts.adversary is None):
            continue
        now = series.now
        for i, band in enumerate(metric.bands):
            if band.standing == "refuted" and not band.unit and inside(now, band) and applies(facts, name, band):
                text = f"The rule of thumb for {name} {span(band)} does not transfer to this run: {band.why}"
                evidence = (Evidence(f"{name} now", now),)
                statements.append(Fact(f"rule_of_thumb_{name}_{i + 1}", "units", text, "known", now, evidence=evidence))
    return tuple(statements)


def inside(value: float, band: Band) -> bool:
    """Whether ``value``, in the band's unit, lies within its limits; never in a band that has none."""
    if band.low is None and band.high is None:
        return False
    return (band.low is None or value >= band.low) and (band.high is None or value <= band.high)


def span(band: Band) -> str:
    """``below 0.05``, ``200 to 800``"""
    if band.low is None:
        return f"below {number(band.high or 0.0)}"
    return f"above {number(band.low)}" if band.high is None else f"{number(band.low)} to {number(band.high)}"


def applies(facts: Facts, name: str, band: Band) -> bool:
    """The band's condition holds: its trainer, its loss, its input range."""
    condition = band.condition
    if band.trainer and band.trainer != facts.view.trainer.id:
        return False
    if "MSE" in condition and not (facts.scales.psnr_exact and name == facts.scales.error):
        return False
    if "hinge" in condition and (facts.adversary is None or facts.adversary.family != "hinge"):
        return False
    return name != "logits_fake" or (facts.adversary is not None and abs(facts.adversary.gap or 1.0) < 0.03)

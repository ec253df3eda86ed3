"""judge: run all rules on the facts, rank causes, and come to one verdict with its confidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vaelab.catalog import METRICS
from vaelab.causes.infer import FAULTY_SHARE, Posterior
from vaelab.diagnosis.answers import AFTER, carry_on, expectations, positives, questions
from vaelab.diagnosis.ranking import link, rank
from vaelab.diagnosis.recognised import ENOUGH_ROWS, judged_rows, why_not
from vaelab.diagnosis.thumbs import refuted_bands
from vaelab.diagnosis.types import Diagnosis, NextStep, RankedCause, Status
from vaelab.diagnosis.verdicts import metric_verdicts
from vaelab.facts import Facts, infer
from vaelab.facts.derived import under_known_names
from vaelab.facts.standing import in_the_logs_names, read_as
from vaelab.rules import ALL_RULES
from vaelab.rules.base import Finding, Skipped
from vaelab.rules.severity import capped, wastes
from vaelab.run import Run
from vaelab.words import belief


@np.errstate(all="ignore")  # a column may hold any number a float can
def diagnose(
    run: Run, select: Sequence[str] = (), ignore: Sequence[str] = (), *, faulty_share: float = FAULTY_SHARE
) -> Diagnosis:
    """Judge ``run``. Never raises on odd data: what cannot be judged comes back as ``cannot-tell``.

    select, ignore: rule codes or their beginnings (``KL``, ``ADV3``); an empty ``select`` means all rules. faulty_share: the share
    of runs that have a fault where this one comes from, in (0, 1); confidence and the causes' scores start from it.
    """
    run = under_known_names(run)
    facts = infer(run)
    found, skipped = _check(facts, select, ignore)
    ran = {rule.code for rule in ALL_RULES} - {s.code for s in skipped}
    posterior, causes = rank(facts, found, ran, _reach(facts), faulty_share)
    findings = link(facts, found, causes)
    status = _status(facts, findings)
    confidence, why = _confidence(facts, status, posterior, skipped, faulty_share)
    return Diagnosis(
        run=run,
        facts=facts,
        status=status,
        headline=_headline(facts, status, findings, causes),
        confidence=confidence,
        confidence_text=why,
        phases=facts.phases.phases,
        statements=(*facts.statements, *refuted_bands(facts)),
        metrics=metric_verdicts(facts, findings),
        findings=findings,
        causes=causes,
        next=_next(facts, status, causes),
        skipped=skipped,
        would_change=_would_change(facts, status, causes, skipped),
        questions=questions(facts, findings, status, causes),
        positive=positives(facts, findings),
        expectations=expectations(facts),
    )


def _check(facts: Facts, select: Sequence[str], ignore: Sequence[str]) -> tuple[list[Finding], tuple[Skipped, ...]]:
    found: list[Finding] = []
    skipped: list[Skipped] = []
    names = _names(facts)
    for rule in ALL_RULES:
        wanted = not select or rule.code.startswith(tuple(select))
        if not wanted or (ignore and rule.code.startswith(tuple(ignore))):
            skipped.append(Skipped(rule.code, rule.name, ("left out by --select or --ignore",)))
            continue
        anything = len(facts.run) or facts.run.measured or facts.run.events
        missing = facts.missing(rule.needs) if anything else rule.needs or ("rows",)
        if missing:
            skipped.append(Skipped(rule.code, rule.name, missing))
        else:
            for finding in rule().check(facts):
                # a metric of one word (memory, perplexity) may be that word in a sentence about others
                shown = {m: name for m, name in names.items() if "_" in m or m in finding.metrics}
                message = in_the_logs_names(finding.message, shown)
                grave = capped(facts, finding.severity, finding.metrics)
                found.append(replace(finding, message=message, severity=grave))
    return found, tuple(skipped)


def _names(facts: Facts) -> dict[str, str]:
    """Metric -> how a sentence names it, where the log calls it otherwise or what it is was concluded."""
    told = {
        metric: read_as(column, facts.view.role(metric))
        for metric, column in facts.run.columns.items()
        if metric.rpartition("/")[2] in METRICS or column.role.standing in ("inferred", "ambiguous")
    }
    return {metric: name for metric, name in told.items() if name != metric}


def _status(facts: Facts, findings: Sequence[Finding]) -> Status:
    if any(wastes(facts, f) for f in findings):
        return "stop"
    if any(f.severity == "critical" for f in findings):
        return "act"
    if any(f.severity == "warn" for f in findings):
        return "watch"
    return "healthy" if judged_rows(facts) >= ENOUGH_ROWS or _only_measured(facts) else "cannot-tell"


def _only_measured(facts: Facts) -> bool:
    """Whether there is no log, but numbers measured on a checkpoint that a rule can judge."""
    needed = {name for rule in ALL_RULES for need in rule.needs for name in need.split("|")}
    return not len(facts.run) and not needed.isdisjoint(facts.run.measured)


def _reach(facts: Facts) -> float:
    """How much the absence of a finding can say: all from 40 rows of a loss on, nothing without one."""
    return 1.0 if _only_measured(facts) else min(1.0, _rows(facts) / 40)


def _rows(facts: Facts) -> int:
    return judged_rows(facts) or max((len(facts.view.series(m)) for m in ("nll_loss", "total_loss")), default=0)


def _confidence(
    facts: Facts, status: Status, posterior: Posterior, skipped: Sequence[Skipped], faulty_share: float
) -> tuple[float, str]:
    """How sure the verdict is: the posterior of "no fault" for healthy and watch, of "a fault" for act and stop."""
    rows = _rows(facts)
    if status == "cannot-tell":
        few = f"{rows} row{'s' if rows != 1 else ''} of a loss; at least {ENOUGH_ROWS} are needed"
        return 0.0, few if rows < ENOUGH_ROWS else "nothing was recognised that a verdict could rest on"
    share = f"if {100 * faulty_share:.3g}% of such runs have a fault"
    if status in ("act", "stop"):
        listed = (
            f", {posterior.unlisted:.0%} that it is one that is not in the list" if posterior.unlisted > 0.1 else ""
        )
        return 1 - posterior.healthy, f"that something is wrong{listed}, {share}"
    on = "what was measured; there is no log" if _only_measured(facts) else f"{rows or len(facts.run)} rows"
    return (
        posterior.healthy,
        f"that nothing is wrong, {share}; {len(ALL_RULES) - len(skipped)} of {len(ALL_RULES)} rules could run on {on}",
    )


def _headline(facts: Facts, status: Status, findings: Sequence[Finding], causes: Sequence[RankedCause]) -> str:
    last = facts.phases.last
    where = f" in the {last.title} phase at step {last.last_step:,}" if last else ""
    if status == "cannot-tell":
        return f"Cannot tell: {why_not(facts)}."
    if status == "healthy":
        end = f" up to {'the end at ' if facts.ended else ''}step {last.last_step:,}" if last else ""
        phase = f" ({last.title} phase)" if last and last.kind != "whole" else ""
        return f"Healthy: no rule found anything to change{end}{phase}."
    grave = [f for f in findings if wastes(facts, f)] if status == "stop" else []
    root = next((f for f in (*grave, *findings) if not f.explained_by), findings[0])
    first_sentence = root.message.split(". ")[0].rstrip(".")
    if not len(facts.run) and facts.run.events:
        error = facts.run.events[-1]
        return f"The run broke before its first row, with the error in line {error.line}: {error.text.rstrip('.')}."
    if status == "watch" and not facts.ended:
        return f"Watch{where}: {first_sentence}."
    cause = f" Most likely cause: {causes[0].title} ({causes[0].id}, {belief(causes[0].score)})." if causes else ""
    if facts.ended:
        return f"Ended; {AFTER[status]}: {first_sentence}.{cause if status != 'watch' else ''}"
    return f"{'Stop' if status == 'stop' else 'Act'}: {first_sentence}.{cause}"


def _next(facts: Facts, status: Status, causes: Sequence[RankedCause]) -> tuple[NextStep, ...]:
    if status in ("healthy", "cannot-tell"):
        return (carry_on(facts, status),)
    steps: list[NextStep] = []
    for cause in causes[:3]:
        if cause.score >= 0.15 or cause is causes[0]:
            step = replace(cause.fix, command=cause.fix.command or cause.test)
            steps.append(_instead(step) if any(_disagree(step, other) for other in steps) else step)
    if not steps and status in ("act", "stop"):
        lead = "Look before the next run" if facts.ended else "Stop and look"
        text = f"{lead}: what was found is serious, and no cause in the catalogue predicts it. Keep the last good checkpoint."
        if not len(facts.run):
            text = "Mend what the error names, and log the first steps."
        steps.append(NextStep(text))
    if status == "watch":
        steps.append(carry_on(facts, status))
    return tuple(steps)


def _disagree(a: NextStep, b: NextStep) -> bool:
    """Whether both set one option, to different values."""
    return any(key in b.changes and b.changes[key] != value for key, value in a.changes.items())


def _instead(step: NextStep) -> NextStep:
    """A step that cannot be taken beside one above: told, without its lines to paste."""
    return replace(step, text=f"If that does not help, instead: {step.text}", patch=(), changes={})


def _would_change(
    facts: Facts, status: Status, causes: Sequence[RankedCause], skipped: Sequence[Skipped]
) -> tuple[str, ...]:
    changes: list[str] = []
    if causes and causes[0].fix.falsify:
        changes.append(f"{causes[0].id} {causes[0].name} would be wrong if: {causes[0].fix.falsify}")
    if len(causes) > 1 and causes[1].score > 0.15:
        changes.append(f"{causes[1].id} {causes[1].name} instead: {causes[1].test}")
    if status in ("healthy", "watch") and not any(
        facts.view.has(m) for m in ("val/rec_loss", "val/rec_mse", "val/psnr", "val/total_loss")
    ):
        changes.append("A held-out rec_loss (val/rec_loss): without one nothing is known of held-out data.")
    if facts.scales.nats is None and facts.view.has("kl_loss"):
        changes.append("The latent shape (--latent CxTxHxW): the KL cannot be judged per element without it.")
    wanted = {
        need
        for s in skipped
        for need in s.missing
        if need in ("lr", "grad_norm", "logits_real|logits_fake", "total_steps")
    }
    names = {"total_steps": "the planned steps", "lr": "lr", "grad_norm": "grad_norm"}
    if wanted:
        changes.append(f"Logging {', '.join(sorted(names.get(w, w) for w in wanted))} would let more rules run.")
    return tuple(changes)

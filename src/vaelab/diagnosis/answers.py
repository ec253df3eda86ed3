"""Answers: the questions users ask, what goes well, what to expect next; all from facts and findings."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.diagnosis.recognised import ENOUGH_ROWS, why_not
from vaelab.diagnosis.types import QA, NextStep, RankedCause, Status
from vaelab.facts import Facts
from vaelab.rules.base import Finding
from vaelab.words import belief


def questions(
    facts: Facts, findings: Sequence[Finding], status: Status, causes: Sequence[RankedCause]
) -> tuple[QA, ...]:
    """The questions users ask, answered where this log allows an answer: the answer first, then the facts that it rests on."""
    said = {f.name: f.text for f in facts.statements}
    disc, gan = facts.view.series("disc_loss"), facts.phases.gan
    asked: list[tuple[str, str, tuple[str, ...]]] = [
        ("Is my reconstruction loss good?", _reconstruction(facts, findings), ("psnr", "rec_change")),
        ("Is my KL too large (or too small)?", _kl(facts, findings), ("kl_per_element", "kl_term", "effective_beta")),
    ]
    if len(disc) and not disc.values.any() and gan.state != "active":
        lead = "Because the GAN is off: the discriminator is not trained, which is no fault."
        asked.append(("Why is disc_loss 0.0?", lead, ()))
    elif facts.adversary is not None and facts.adversary.disc_loss is not None:
        asked.append(("What does disc_loss say?", "", ("disc_loss_family", "logit_gap")))
    if gan.state == "active":
        shocks = ("gan_shock_rec_loss", "gan_shock_perceptual_loss", "gan_start")
        asked.append(("What did the GAN start do?", "", shocks))
    else:
        asked.append(("When does the discriminator start?", "", ("gan_start",)))
    asked += [
        ("What does d_weight mean?", "", ("d_weight",)),
        ("Why is total_loss negative?", "", ("negative_total",)),
        ("Is clipping harmful?", _clipping(facts.optimiser.clipped), ("clip",)),
        ("How far is the run?", "", ("progress", "milestone")),
        ("Should I stop or change something?", _intervene(facts, status, findings, causes), ()),
    ]
    answers = []
    for question, lead, names in asked:
        evidence = [said[n] for n in names if n in said]
        if evidence or (lead and not names):
            answers.append(QA(question, " ".join(filter(None, (lead, *evidence)))))
    return tuple(answers)


def _reconstruction(facts: Facts, findings: Sequence[Finding]) -> str:
    """The answer in a few words: the worst finding on rec_loss, else the change since the first rows."""
    about = [f for f in findings if "rec_loss" in f.metrics and f.severity != "info"]
    if about:
        worst = next((f for f in about if not f.explained_by), about[0])
        verdict = "No" if worst.severity == "critical" else "Not yet"
        return f"{'Its value cannot be trusted' if worst.subject == 'data' else verdict}: {worst.code} {_words(worst)}."
    rec = facts.view.series("rec_loss")
    if len(rec) < 8:
        return "Too few rows to say." if len(rec) else ""
    change = rec.now / rec.first if rec.first > 0 else 1.0
    if change < 0.87:
        return "Against its own start, yes."
    return "It stands about where it began." if change < 1.15 else "It is worse than at the start."


def _kl(facts: Facts, findings: Sequence[Finding]) -> str:
    """The answer in a few words, from the gravest finding on the KL or its weight."""
    for finding in findings:
        if finding.subject in ("kl", "kl_weight") and finding.severity != "info":
            answer = WENT.get(finding.direction, "Look at it")
            return f"{answer}: {finding.code} {_words(finding)}."
    if facts.scales.nats is not None:
        return "Neither, as far as this log shows."
    return "No finding says so; more cannot be told here." if facts.view.has("kl_loss") else ""


WENT = {
    "too-high": "Far too large",
    "too-low": "Too small",
    "collapsed": "Far too small",
    "rising": "It grows too much",
    "falling": "It falls too far",
    "jumped": "It jumps",
}
"""Direction of a finding on the KL -> the answer."""


def _clipping(share: float | None) -> str:
    """The answer in a few words, from the share of clipped steps."""
    if share is None:
        return ""
    if share == 0:
        return "No: no logged step is clipped."
    if share < 0.5:
        return "No: it acts on some steps only."
    return "Not by itself, but it acts on most steps: their gradients all count the same, whatever their size."


def _words(finding: Finding) -> str:
    return finding.name.replace("-", " ")


def _intervene(facts: Facts, status: Status, findings: Sequence[Finding], causes: Sequence[RankedCause]) -> str:
    if status == "cannot-tell":
        return "This log cannot tell; see what could not be checked."
    if status == "healthy":
        return (
            f"No: nothing in this log {'asked' if facts.ended else 'asks'} for a change. What a log cannot show (held-out quality, latent statistics) is"
            " not judged."
        )
    worst = next((f for f in findings if not f.explained_by), findings[0] if findings else None)
    lead = {"stop": "Yes, stop: ", "act": "Yes, change something: ", "watch": "Not yet; watch this: "}[status]
    if facts.ended:
        lead = f"The run has ended; {AFTER[status]}: "
    text = lead + (worst.message if worst else "")
    if causes and status != "watch":
        text += f" Most likely cause: {causes[0].title} ({belief(causes[0].score)})."
    return text


AFTER = {
    "stop": "it should have been stopped, do not go on from it as it is",
    "act": "change this before the next",
    "watch": "look at this before the next",
}
"""What a verdict asks for where there is nothing left to stop."""


def positives(facts: Facts, findings: Sequence[Finding]) -> tuple[str, ...]:
    """What speaks for the run, each with its number."""
    good: list[str] = []
    subjects = {f.subject for f in findings if f.severity != "info"}
    critical = any(f.severity == "critical" for f in findings)
    rec, shock, a = facts.view.series("rec_loss"), facts.phases.shock("rec_loss"), facts.adversary
    if len(rec) >= 8 and not subjects & {"reconstruction", "data"} and 0 < rec.now < 0.9 * rec.first:
        times = f"{rec.first / rec.now:.2g} times lower than at the start ({rec.first:.4g} to {rec.now:.4g})"
        good.append(f"rec_loss is {times}.")
    closed = [i for i in facts.algebra.identities if i.status == "closes"]
    if closed:
        good.append(f"The loss adds up: {closed[-1].formula} closes in {closed[-1].rows} rows.")
    if shock is not None and shock.recovered_step is not None and facts.phases.gan.state == "active" and not critical:
        level = f"{shock.remaining:.2g} times its level before the GAN"
        good.append(
            f"The reconstruction has {'recovered from' if shock.seen else 'taken no harm at'} the GAN start ({level})."
        )
    if a is not None and a.chance_known and a.chance and a.disc_loss and 0.3 < a.disc_loss / a.chance < 0.97:
        good.append(
            f"The discriminator has some skill and is not saturated: disc_loss {a.disc_loss:.3g} against chance"
            f" {a.chance:.3g}."
        )
    broken = any(f.direction in ("non-finite", "broken-off") for f in findings)
    if not broken and len(facts.run) >= 8:
        good.append(f"No NaN or inf in {len(facts.run):,} rows.")
    nats = next((f.value for f in facts.statements if f.name == "kl_per_element"), None)
    if isinstance(nats, float) and nats > 0.3 and "kl" not in subjects:
        good.append(f"The latent carries information ({nats:.2g} nats per element).")
    return tuple(good)


def expectations(facts: Facts) -> tuple[str, ...]:
    """What the next phase should bring, and what would be a bad sign there."""
    if facts.ended:
        return ("The run has ended: a longer one would need more planned steps.",)
    seen = facts.view.has
    judged = " and ".join(m for m in ("rec_loss", "perceptual_loss") if seen(m)) or "the losses"
    gan, ahead = facts.phases.gan, []
    if facts.phases.warm_up is not None and facts.phases.warm_up.end_step is None:
        ahead.append(
            "Until the warm-up ends the learning rate rises: a small rise of rec_loss is normal, a lasting one is not."
        )
    if gan.state == "scheduled" and gan.planned_step is not None:
        rec = facts.view.series("rec_loss")
        level = f" (now {rec.values[-1]:.4g})" if len(rec) else ""
        texture = "; perceptual_loss should end below its level before" if seen("perceptual_loss") else ""
        ahead += [
            f"At step {gan.planned_step:,} the GAN starts: disc_loss should appear near its chance level and fall below it"
            " within some hundred steps as the logit gap opens.",
            f"rec_loss may rise 2 to 6 times and should be back at its level before{level} within 1,000 to 10,000 steps{texture}.",
            f"total_loss can become negative and stops being comparable; watch {judged} and the logit gap.",
        ]
    elif gan.state == "active":
        shock = facts.phases.shock("rec_loss")
        if shock is not None and shock.recovered_step is None and shock.seen:
            ahead.append(
                f"rec_loss should come back to {shock.before:.4g}; if it does not within about 5,000 steps, roll back."
            )
        else:
            also = [f"{m} {should}" for m, should in (("d_weight", "should stay steady"), ("logits_real", "should stay above logits_fake"))
                    if seen(m)]  # fmt: skip
            ahead.append("; ".join((f"{judged} should hold or improve", *also)) + ".")
    elif gan.state in ("never", "off", "absent") and seen("rec_loss", "perceptual_loss"):
        ahead.append("Without a GAN the output stays slightly smooth: perceptual_loss flattens before rec_loss does.")
    share = facts.phases.lr_now_share
    if share is not None and share < 0.1:
        ahead.append("With the learning rate this low, expect flat curves; that is no sign of convergence.")
    return tuple(ahead)


def carry_on(facts: Facts, status: Status) -> NextStep:
    """What to do when no cause asks for a change."""
    milestone = facts.progress.milestone
    until = f" until {milestone[0]} (step {milestone[1]:,})" if milestone else ""
    if status == "cannot-tell":
        wanted = [
            m
            for m in ("total_loss", "nll_loss", "rec_loss", "perceptual_loss", "kl_loss", "lr", "grad_norm")
            if not facts.view.has(m)
        ]
        if facts.phases.gan.state != "absent" and not facts.view.has("logits_real", "logits_fake"):
            wanted += ["logits_real", "logits_fake"]
        what = f" Log {', '.join(wanted)} as well." if wanted else ""
        grow = "let it grow to some dozen rows and diagnose again" if len(facts.run) < ENOUGH_ROWS else why_not(facts)
        return NextStep(f"No change is justified by this log: {grow}.{what}")
    if facts.ended:
        return NextStep(
            "The run is complete: score its checkpoint on held-out clips (PSNR, LPIPS) before training on.",
            expected="held-out values close to those of the last training rows",
            falsify="held-out values are clearly worse: the model has learned its training data by heart",
        )
    return NextStep(
        f"Carry on{until}. Keep the present checkpoint and score it on held-out clips (PSNR, LPIPS).",
        expected=" and ".join(m for m in ("rec_loss", "perceptual_loss") if facts.view.has(m)) + " hold or fall"
        if facts.view.has("rec_loss", "perceptual_loss")
        else "the losses hold or fall",
        falsify="rec_loss leaves its level for more than a tenth of the run",
    )

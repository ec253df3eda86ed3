"""Answers: the questions users ask, what goes well, what to expect next; all from facts and findings."""

from __future__ import annotations

from collections.abc import Sequence

from vaelab.diagnosis.types import QA, NextStep, RankedCause, Status
from vaelab.facts import Facts
from vaelab.rules.base import Finding


def questions(
    facts: Facts, findings: Sequence[Finding], status: Status, causes: Sequence[RankedCause]
) -> tuple[QA, ...]:
    """The questions of the field notes, answered where this log allows an answer."""
    said = {f.name: f.text for f in facts.statements}
    answers: list[QA] = []

    def add(question: str, *names: str, more: str = "") -> None:
        text = " ".join(said[n] for n in names if n in said)
        if text or more:
            answers.append(QA(question, f"{text} {more}".strip()))

    add(
        "Is my reconstruction loss good?",
        "psnr",
        "rec_change",
        more=_compare_with_start(facts) if "psnr" in said else "",
    )
    add("Is my KL too large (or too small)?", "kl_per_element", "kl_term", "effective_beta")
    last = facts.view.series("disc_loss")
    gan = facts.phases.gan
    if len(last) and not last.values.any():
        add("Why is disc_loss 0.0?", "gan_start")
    elif facts.adversary is not None and facts.adversary.disc_loss is not None:
        add("What does disc_loss say?", "disc_loss_family", "logit_gap")
    if gan.state in ("scheduled", "never", "off", "absent"):
        add("When does the discriminator start?", "gan_start")
    else:
        add("What did the GAN start do?", "gan_start", "gan_shock_rec_loss", "gan_shock_perceptual_loss")
    add("What does d_weight mean?", "d_weight")
    add("Why is total_loss negative?", "negative_total")
    add("Is clipping harmful?", "clip")
    add("How far is the run?", "progress", "milestone")
    answers.append(QA("Should I stop or change something?", _intervene(status, findings, causes)))
    return tuple(answers)


def _compare_with_start(facts: Facts) -> str:
    if facts.phases.origin == "pretrained":
        return "Compare with your own step 0, the pretrained model, and with held-out clips."
    return "A training value says nothing of held-out data: score a held-out set."


def _intervene(status: Status, findings: Sequence[Finding], causes: Sequence[RankedCause]) -> str:
    if status == "cannot-tell":
        return "This log cannot tell; see what could not be checked."
    if status == "healthy":
        return "Nothing in this log asks for a change. What a log cannot show (held-out quality, latent statistics) is not judged."
    worst = next((f for f in findings if not f.explained_by), findings[0] if findings else None)
    lead = {"stop": "Yes, stop: ", "act": "Yes, change something: ", "watch": "Not yet; watch this: "}[status]
    text = lead + (worst.message if worst else "")
    if causes and status != "watch":
        text += f" Most likely: {causes[0].title.lower()} ({causes[0].score:.0%})."
    return text


def positives(facts: Facts, findings: Sequence[Finding]) -> tuple[str, ...]:
    """What speaks for the run, each with its number."""
    good: list[str] = []
    codes = {f.code for f in findings if f.severity != "info"}
    said = {f.name: f for f in facts.statements}
    rec = facts.view.series("rec_loss")
    if len(rec) >= 8 and not codes & {"REC101", "REC102", "REC103", "REC104", "REC107", "ADV307"}:
        first, late = float(rec.values[0]), rec.tail(0.1, 3).values
        middle = sorted(late)[len(late) // 2]
        if 0 < middle < 0.9 * first:
            good.append(
                f"rec_loss is {first / middle:.2g} times lower than at the start ({first:.4g} to {middle:.4g})."
            )
    closed = [i for i in facts.algebra.identities if i.status == "closes"]
    if closed:
        good.append(f"The loss adds up: {closed[-1].formula} closes in {closed[-1].rows} rows.")
    shock = facts.phases.shock("rec_loss")
    if shock is not None and shock.recovered_step is not None and facts.phases.gan.state == "active":
        level = f"{shock.remaining:.2g} times its level before the GAN"
        good.append(
            f"The reconstruction has {'recovered from' if shock.seen else 'taken no harm at'} the GAN start ({level})."
        )
    a = facts.adversary
    if a is not None and a.chance and a.disc_loss is not None and 0.3 * a.chance < a.disc_loss < 0.97 * a.chance:
        good.append(
            f"The discriminator has some skill and is not saturated: disc_loss {a.disc_loss:.3g} against chance"
            f" {a.chance:.3g}."
        )
    if not codes & {"NUM501", "NUM502"} and len(facts.run) >= 8:
        good.append(f"No NaN or inf in {len(facts.run):,} rows.")
    if "KL201" not in codes and "kl_per_element" in said and said["kl_per_element"].value is not None:
        value = said["kl_per_element"].value
        if isinstance(value, float) and value > 0.3:
            good.append(f"The latent carries information ({value:.2g} nats per element).")
    return tuple(good)


def expectations(facts: Facts) -> tuple[str, ...]:
    """What the next phase should bring, and what would be a bad sign there."""
    gan, ahead = facts.phases.gan, []
    if facts.phases.warm_up is not None and facts.phases.warm_up.end_step is None:
        ahead.append(
            "Until the warm-up ends the learning rate rises: a small rise of rec_loss is normal, a lasting one is not."
        )
    if gan.state == "scheduled" and gan.planned_step is not None:
        rec = facts.view.series("rec_loss")
        level = f" (now {rec.values[-1]:.4g})" if len(rec) else ""
        ahead += [
            f"At step {gan.planned_step:,} the GAN starts: disc_loss should appear near its chance level and fall below it"
            " within some hundred steps as the logit gap opens.",
            f"rec_loss may rise 2 to 6 times and should be back at its level before{level} within 1,000 to 10,000 steps;"
            " perceptual_loss should end below its level before.",
            "total_loss can become negative and stops being comparable; watch rec_loss, perceptual_loss and the logit gap.",
        ]
    elif gan.state == "active":
        shock = facts.phases.shock("rec_loss")
        if shock is not None and shock.recovered_step is None and shock.seen:
            ahead.append(
                f"rec_loss should come back to {shock.before:.4g}; if it does not within about 5,000 steps, roll back."
            )
        else:
            ahead.append(
                "rec_loss and perceptual_loss should hold or improve; d_weight should stay steady and the gap positive."
            )
    elif gan.state in ("never", "off", "absent"):
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
        return NextStep(f"No change is justified by this log: let it grow to some dozen rows and diagnose again.{what}")
    return NextStep(
        f"Carry on{until}. Keep the present checkpoint and score it on held-out clips (PSNR, LPIPS).",
        expected="rec_loss and perceptual_loss hold or fall",
        falsify="rec_loss leaves its level for more than a tenth of the run",
    )

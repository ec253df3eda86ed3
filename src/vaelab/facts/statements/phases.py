"""Sentences on the phases: warm-up, where the run began, the GAN start and what it did, decay, resumes."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from vaelab.facts.base import Evidence, Fact
from vaelab.facts.phases import Gan, Phases, Shock, WarmUp
from vaelab.facts.view import View
from vaelab.words import number


def of_phases(view: View, phases: Phases) -> Iterator[Fact]:
    run, warm_up, gan, origin = view.run, phases.warm_up, phases.gan, phases.origin
    if not len(run):
        return
    last = int(run.steps[-1])
    if warm_up is not None:
        if warm_up.end_step is None:
            now = float(view.series("lr").values[-1])
            ahead = f" (planned to end at step {warm_up.planned:,})" if warm_up.planned else ""
            text = f"The learning rate is still warming up: {now:g} of {warm_up.peak:g} at step {last:,}{ahead}."
        else:
            text = f"Warm-up: {warm_up.shape}, from {warm_up.first:g} to {warm_up.peak:g} by step {warm_up.end_step:,}."
        yield Fact("warm_up", "phases", text, "inferred", float(warm_up.end_step or last), "step")
    lr = view.series("lr")
    rec = view.series("rec_loss")
    if len(lr) and len(rec) and lr.values[0] == 0 and origin == "pretrained":
        text = (
            f"The low start (rec_loss {rec.values[0]:g}) is a pretrained model: the learning rate is 0 at step"
            f" {int(lr.steps[0]):,}, so nothing has been trained yet. Compare with your own step 0, the pretrained model."
        )
        yield Fact(
            "origin", "phases", text, "inferred", origin, evidence=(view.evidence("rec_loss", int(rec.rows[0])),)
        )
    elif origin == "pretrained":
        text = f"The first value (rec_loss {rec.values[0]:g}) is that of a trained model: this run fine-tunes. Compare with your own step 0, the pretrained model."
        yield Fact("origin", "phases", text, "inferred", origin)
    elif origin == "resumed":
        text = (
            f"The log begins at step {int(run.steps[0]):,} with rec_loss {rec.values[0]:g}, its later level: this run"
            " continues an earlier one."
        )
        yield Fact("origin", "phases", text, "inferred", origin)
    yield _gan_fact(view, gan, warm_up, last)
    for shock in phases.shocks:
        yield _shock_fact(view, shock)
    for step in phases.resumes:
        yield Fact(
            f"resume_{step}", "phases", f"The run was resumed at step {step:,}.", "inferred", float(step), "step"
        )


def _gan_fact(view: View, gan: Gan, warm_up: WarmUp | None, last: int) -> Fact:
    if gan.state == "active" and gan.start_step is not None:
        where = ""
        n = view.number("iters_per_epoch")
        if n and n >= 1:
            where = f" (epoch {int(gan.start_step // n)}, iteration {int(gan.start_step % n)})"
        if gan.before_step is None:
            text = f"The GAN is active from the first logged step ({gan.start_step:,})."
        elif gan.planned_step == gan.start_step:
            text = f"The GAN starts at step {gan.start_step:,}{where}, as declared (disc_start)."
        else:
            text = f"The GAN starts between step {gan.before_step:,} and {gan.start_step:,}{where}: {gan.reason}."
        if gan.unit_ratio:
            text += f" disc_start {gan.planned_step:,} is counted in optimizer steps, {gan.unit_ratio} per logged step."
        if gan.disc_row is not None:
            text += f" The discriminator was trained alone from step {int(view.run.steps[gan.disc_row]):,} on."
        if gan.before_step is not None:
            text += _warm_up_coincides(view, gan.start_step, gan.before_step, warm_up)
        return Fact("gan_start", "phases", text, "inferred", float(gan.start_step), "step",
                    low=gan.before_step, high=gan.start_step)  # fmt: skip
    if gan.state == "scheduled" and gan.planned_step is not None:
        ahead = gan.planned_step - last
        zero = ""
        if gan.disc_row is not None:
            zero = f" The discriminator has been trained alone since step {int(view.run.steps[gan.disc_row]):,}."
        elif view.has("disc_loss") and not np.any(view.series("disc_loss").values):
            zero = " disc_loss is 0.0 because disc_factor is 0 until then."
        meaning = ""
        if view.trainer.d_weight_logged_before_start:
            meaning = " d_weight, g_loss and logits printed before that mean nothing."
        unit = ""
        if (per_batch := view.trainer.steps_per_batch) > 1:
            unit = (
                f" If the trainer counts every optimizer's step ({per_batch} per logged step), it starts at logged step"
                f" {gan.planned_step // per_batch:,} already."
            )
        text = f"The GAN is scheduled for step {gan.planned_step:,}: {ahead:,} steps to go.{unit}{zero}{meaning}"
        return Fact("gan_start", "phases", text, "declared", float(gan.planned_step), "step")
    if gan.state == "never" and gan.planned_step is not None:
        text = f"The GAN never starts in this plan: {gan.reason}."
        return Fact("gan_start", "phases", text, "declared", float(gan.planned_step), "step")
    some = view.has_role("generator_adversarial", "discriminator", "logits_fake", "adaptive_weight") or view.has(
        "d_weight"
    )
    text = {
        "off": f"The GAN is off: {gan.reason}; the log does not say when it should start.",
        "absent": "Whether the GAN is on cannot be told from this log's columns."
        if some
        else "The log has no adversarial column: either the GAN is off or it is not logged.",
    }.get(gan.state, "The state of the GAN cannot be told from this log.")
    return Fact("gan_start", "phases", text, "cannot-tell")


def _warm_up_coincides(view: View, start: int, before: int, warm_up: WarmUp | None) -> str:
    """A sentence if the warm-up ends where the GAN starts, else nothing."""
    end = (warm_up.planned or warm_up.end_step) if warm_up else view.number("warmup_steps")
    default = ""
    if end is None and view.trainer.default_warmup and not view.has("lr"):
        end, default = view.number(view.trainer.default_warmup), " (the script's default)"
    if end is None or abs(start - end) > max(1, start - before):
        return ""
    return f" That is the step on which the learning-rate warm-up ends{default}."


def _shock_fact(view: View, shock: Shock) -> Fact:
    db = (
        f", {-10 * math.log10(shock.ratio):+.1f} dB"
        if view.trainer.rec_kind == "mse" and shock.metric == "rec_loss"
        else ""
    )
    if not shock.seen:
        text = (
            f"{shock.metric} did not leave its noise at the GAN start; it stands at {shock.remaining:.2f} times the level"
            f" before ({number(shock.before)} to {number(shock.after)})."
        )
        return Fact(f"gan_shock_{shock.metric}", "phases", text, "inferred", shock.ratio, "x")
    text = (
        f"At the GAN start {shock.metric} went from {number(shock.before)} to {number(shock.worst)} ({shock.ratio:.1f}x{db}) by"
        f" step {shock.worst_step:,}; the level to come back to is {number(shock.before)}."
    )
    if shock.recovered_step is not None:
        text += f" It was back within {shock.margin - 1:.0%} of it by step {shock.recovered_step:,}."
    else:
        gained = ""
        if db and shock.worst > shock.after > 0:
            full = 10 * math.log10(shock.worst / shock.before)
            back = 10 * math.log10(shock.worst / shock.after)
            gained = f", {back:.1f} of {full:.1f} dB recovered"
        text += f" It now stands at {number(shock.after)} ({shock.remaining:.2f}x the level before{gained})."
    return Fact(f"gan_shock_{shock.metric}", "phases", text, "inferred", shock.ratio, "x",
                evidence=(Evidence(f"{shock.metric} before", shock.before), Evidence("worst", shock.worst, step=shock.worst_step),
                          Evidence("now", shock.after)))  # fmt: skip

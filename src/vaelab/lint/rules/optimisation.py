"""Learning rate, accumulation, clipping, EMA and precision."""

from __future__ import annotations

from collections.abc import Iterable

from vaelab.dialects.plan import Plan
from vaelab.lint.base import LintFinding, LintRule
from vaelab.words import number, rough

BASE_RATES = (4e-6, 5.1e-6)  # latent-diffusion's 4.5e-6 and RadioDiff's 5e-6, which was copied from it
TOO_HIGH = 5e-3  # for Adam on an autoencoder
SCALED_TOO_HIGH = 1e-3
SMALL_CLIP = 100.0  # beside gradients of a sum, whose norm is of the order of 10,000
LARGEST_AVERAGE = 1 / 3  # of the run: time constant of an EMA


class RateNotScaled(LintRule):
    """A base learning rate is used as the rate.

    What it checks: a rate of about 4.5e-6 in a trainer that does not multiply it.

    Why it matters: 4.5e-6 is latent-diffusion's base rate, which its main.py multiplies by batch, GPUs and accumulation: the
    released model was trained with 1.08e-4. Copied into a trainer that takes it as it is, training is some twenty
    times slower than meant.

    What to do: set the rate that is meant, 5e-5 to 1e-4 for a new autoencoder; keep it for fine-tuning.

    References: E2; CompVis/latent-diffusion main.py (scale_lr)
    """

    code = "LNT401"
    name = "rate-not-scaled"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        rate = plan.optim.base
        if plan.optim.copied_base and rate is not None and BASE_RATES[0] <= rate <= BASE_RATES[1]:
            yield self.finding(
                "warn",
                f"lr {rate:g} is taken as it is: latent-diffusion, where it is from, multiplies it by batch, GPUs and accumulation"
                " (1.08e-4 in the released model)",
                plan,
                "lr",
                patch=[f"{plan.written('lr', 1e-4)}   for a new model; keep it for fine-tuning"],
            )


class RateScaledTwice(LintRule):
    """The learning rate is too high, or a full rate is scaled once more.

    What it checks: the rate that the optimizer gets, after the trainer's own scaling.

    Why it matters: latent-diffusion and taming-transformers multiply base_learning_rate by batch, GPUs and accumulation. A
    rate of 1e-4 written there becomes 1e-2 on eight GPUs, and the run diverges or stays at a grey mean.

    What to do: divide by the factors that the message names, or start main.py with --scale_lr False.

    References: E1; CompVis/latent-diffusion main.py
    """

    code = "LNT402"
    name = "rate-scaled-twice"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        optim = plan.optim
        if optim.rate is None or optim.base is None or optim.rate <= (SCALED_TOO_HIGH if optim.scaled else TOO_HIGH):
            return
        if optim.scaled:
            factor = optim.rate / optim.base
            text = (
                f"base rate {optim.base:g} becomes {optim.rate:.2g}: it is multiplied by {rough(factor)} (batch x GPUs x accumulation"
                f"{'' if optim.gpus else ', GPUs taken as 1'})"
            )
            patch = plan.written("lr", float(f"{1e-4 / factor:.2g}"))
        else:
            text, patch = f"lr {optim.rate:g} is too high for Adam on an autoencoder", plan.written("lr", 1e-4)
        yield self.finding("critical" if optim.scaled else "warn", text, plan, "lr", patch=[patch])


class AccumulationMistake(LintRule):
    """Gradient accumulation is asked for in a way that the trainer does not support.

    What it checks: gradient_accumulate_every of RadioDiff, which is the number of optimizers; accumulate_grad_batches under
    Lightning's manual optimisation, which refuses it.

    Why it matters: RadioDiff ends with an error for every value but 2, and does not accumulate with 2. Lightning refuses to
    start.

    What to do: RadioDiff: keep 2 and raise the batch instead. VidTok, generative-models: 1.

    References: E9; UNIC-Lab/RadioDiff train_vae.py:215-223; Lightning's manual optimisation
    """

    code = "LNT403"
    name = "accumulation-mistake"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        count, networks = plan.options.whole(plan.key("accumulate")), plan.optim.networks
        if networks is not None and count is not None and count != networks:
            what = (
                "the discriminator is never trained and logging fails"
                if count < networks
                else "the third pass returns nothing and fails"
            )
            name = plan.key("accumulate").rpartition(".")[2]
            text = f"{name} {count} is used as the number of optimizers: {what}"
            yield self.finding("critical", text, plan, "accumulate", patch=[plan.written("accumulate", networks)])
        elif plan.optim.manual and count is not None and count > 1:
            text = f"{plan.key('accumulate')} {count}: Lightning refuses it under manual optimisation, which this trainer uses"
            yield self.finding("critical", text, plan, "accumulate", patch=[plan.written("accumulate", 1)])


class ClipWithoutEffect(LintRule):
    """Clipping is asked for where it cannot act.

    What it checks: gradient_clip_val under Lightning's manual optimisation, which refuses it; in vaelab's own settings a
    limit that no gradient of a mean loss reaches.

    Why it matters: the protection that was asked for is not there; under Lightning the run does not start.

    What to do: remove it, or lower the limit to about 1 for a mean loss.

    References: E5; Stability-AI/generative-models sgm/models/autoencoder.py
    """

    code = "LNT404"
    name = "clip-without-effect"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        clip = plan.optim.clip
        if clip is None or plan.key("clip") not in plan.options:
            return
        if plan.optim.manual:
            text = (
                f"{plan.key('clip')} {clip:g}: Lightning refuses it under manual optimisation, which this trainer uses"
            )
            yield self.finding("critical", text, plan, "clip", patch=[f"remove {plan.key('clip')}"])
        elif plan.loss.nll == "mean" and clip >= 1000:
            text = f"no gradient of a mean loss has a norm of {number(clip)}: nothing is ever clipped"
            yield self.finding("info", text, plan, "clip", patch=[plan.written("clip", 1.0)])


class ClipActsAlways(LintRule):
    """The limit of the gradient norm is below the norm of every step.

    What it checks: a limit of 100 or less where the loss is a sum over a sample or a frame.

    Why it matters: the gradient of a sum over tens of thousands of values has a norm of 10,000 and more (10,000 to 15,000 were
    measured on 64x64 maps). A limit of 1 shrinks every step to the same length: the size of the gradient is lost,
    and a spike counts as much as any step.

    What to do: 20,000 to 400,000 for a sum, or nll_reduction mean and a limit of 1.

    References: E4; the preset radio-map-small
    """

    code = "LNT405"
    name = "clip-acts-always"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        clip, elements = plan.optim.clip, plan.sample.elements
        if clip is None or plan.loss.nll not in ("sum", "sum_per_frame") or clip > SMALL_CLIP or plan.optim.manual:
            return
        if plan.own and (elements or 0) > 1000:
            yield self.finding(
                "warn",
                f"clip_grad {clip:g} beside a loss that is a sum over {elements:,} values: every step is clipped to the same length",
                plan,
                "clip",
                "loss.nll_reduction",
                patch=[plan.written("clip", 2e5)],
            )


class AverageLongerThanRun(LintRule):
    """The EMA averages over longer than the run.

    What it checks: the time constant of the EMA, 1 / (1 - decay) updates, against a third of the run.

    Why it matters: the averaged weights are still those of the beginning when the run ends, and are worse than the raw ones.

    What to do: a time constant of about a twentieth of the run.

    References: E12
    """

    code = "LNT406"
    name = "ema-longer-than-run"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        decay, updates = plan.optim.ema_decay, plan.schedule.updates
        if decay is None or not updates or not 0 < decay < 1:
            return
        time_constant = plan.optim.ema_every / (1 - decay)
        if time_constant > LARGEST_AVERAGE * updates:
            better = max(0.5, 1 - 20 * plan.optim.ema_every / updates)
            yield self.finding(
                "warn",
                f"the EMA averages over {number(time_constant)} updates, the run has {number(updates)}: its weights stay those of"
                " the beginning",
                plan,
                "ema_decay",
                "updates",
                patch=[plan.written("ema_decay", float(f"{better:.4g}"))] if "ema_decay" in plan.keys else (),
            )


class SumInHalfPrecision(LintRule):
    """A loss that is a sum over a sample is computed in fp16.

    What it checks: fp16 in a trainer that sums and does not keep its losses in float32.

    Why it matters: fp16 ends at 65,504, and 0.4 x 196,608 values of one image are 78,643: the loss is inf from the
    first step on, and each step is skipped or ruins the weights.

    What to do: bf16 or fp32.

    References: F1; the largest float16
    """

    code = "LNT407"
    name = "sum-in-half-precision"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        optim, sample = plan.optim, plan.sample
        if optim.precision != "fp16" or not optim.loss_in_precision or plan.loss.nll not in ("sum", "sum_per_frame"):
            return
        frame = None if None in (sample.channels, sample.height, sample.width) else (
            sample.channels * sample.height * sample.width  # type: ignore[operator]
        )  # fmt: skip
        largest = (
            ""
            if frame is None
            else f": 0.4 a value over {frame:,} values is {number(0.4 * frame)}, fp16 ends at 65,504"
        )
        if frame is not None and 0.4 * frame < 65_504 / 4:
            return
        yield self.finding("warn", f"the loss is a sum in fp16{largest}", plan, "precision", patch=["bf16 or fp32"])

"""REC: what ``vaelab evaluate`` measured on held-out clips with a checkpoint of the run (``run.measured``)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from vaelab.facts import Evidence, Facts
from vaelab.rules.base import Finding, Rule
from vaelab.words import number

LEVELS = 127.5  # 8-bit levels in one unit of the range -1 to 1
RANGES = {
    "0_1": "0 to 1 in place of -1 to 1",
    "0_255": "0 to 255 in place of -1 to 1",
    "half": "-0.5 to 0.5 in place of -1 to 1",
    "inverted": "its sign reversed (a negative)",
}
UNDONE = 0.25  # share of the error that may remain when a wrong range or order is undone
NOISY = 1.5  # energy of fine detail over that of the originals
TRAINED = 0.5  # 1 - MSE / variance below which a model is not yet judged by fine points


def measurement(facts: Facts, name: str) -> float:
    """What ``vaelab evaluate`` found under ``evaluation.name``; NaN where it did not."""
    return facts.run.measured.get(f"evaluation.{name}", math.nan)


def wrong_range(measured: Mapping[str, float]) -> str | None:
    """Key in RANGES of the range that the output is in, if that is not -1 to 1."""
    errors = {key: measured.get(f"evaluation.range_{key}_error", math.inf) for key in RANGES}
    best = min(errors, key=lambda key: errors[key])
    return best if errors[best] < UNDONE else None


def wrong_order(measured: Mapping[str, float]) -> str | None:
    """The order (``bgr``) in which the output's channels fit the input's, if that is another one than the input's."""
    begin, end = "evaluation.order_", "_error"
    errors = {name[len(begin) : -len(end)]: value for name, value in measured.items() if name.startswith(begin)}
    best = min(errors, key=lambda key: errors[key], default=None)
    return best if best is not None and errors[best] < UNDONE else None


def is_trained(facts: Facts) -> bool:
    """Whether the output follows the input well enough, and in the right range and order, for finer points to mean anything."""
    measured = facts.run.measured
    follows = measurement(facts, "explained_variance") > TRAINED
    return follows and wrong_range(measured) is None and wrong_order(measured) is None


def evidence(facts: Facts, *names: str) -> list[Evidence]:
    """The numbers that a finding rests on, the number of clips first."""
    shown = [Evidence(f"evaluation.{name}", measurement(facts, name)) for name in ("clips", *names)]
    return [one for one in shown if not math.isnan(float(one.value))]


class GridInOutput(Rule):
    """A regular grid or checkerboard lies over the output.

    What it checks: lines in the spectrum of the error at the multiples of 1 / stride of the decoder: power over 2.5
    times that of the neighbouring frequencies, an amplitude over half an 8-bit level, and 1.5 times that of the same line in the
    originals.

    Why it matters: no loss shows it, it is visible in flat areas, and a diffusion model learns to make it too.

    Evidence it needs: ``evaluation.grid_peak`` of ``vaelab evaluate``.

    What to do: resize and convolve in place of transposed convolutions, or a pixel shuffle with ICNR initialisation;
    train longer; look at the pictures of ``vaelab reconstruct``.

    References: Odena et al. 2016; CompVis/taming-transformers#41; cause B5.
    """

    code = "REC121"
    name = "grid-in-output"
    needs = ("evaluation.grid_peak",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        peak, level = measurement(facts, "grid_peak"), measurement(facts, "grid_level")
        if peak < 2.5 or level < max(0.5, 1.5 * measurement(facts, "grid_input_level")) or not is_trained(facts):
            return
        yield self.finding(
            "critical" if level > 3 else "warn",
            f"A pattern with a period of {number(measurement(facts, 'grid_period'))} pixels lies over the output: its line in"
            f" the spectrum of the error is {number(peak)} times its neighbourhood, an amplitude of {level:.1f} 8-bit levels;"
            f" the originals have {measurement(facts, 'grid_input_level'):.1f} there.",
            evidence=evidence(facts, "grid_peak", "grid_period", "grid_level"),
        )


class FrozenOutput(Rule):
    """The output does not move although the clips do.

    What it checks: mean change from frame to frame of the output over that of the originals: under 0.02 in an output that
    explains some of the variance, or under 0.25 where the first frame is more than 3 dB better than the rest.

    Why it matters: on slow clips the loss of a frozen video is low; the temporal layers carry nothing.

    Evidence it needs: ``evaluation.motion_ratio`` on clips that move.

    What to do: check the number of frames (1 + n x temporal compression) and the order of the axes.

    References: Lightricks/LTX-Video-Trainer#3; causes B10, A8.
    """

    code = "REC122"
    name = "frozen-output"
    needs = ("evaluation.motion_ratio",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        motion, first = measurement(facts, "motion_ratio"), measurement(facts, "first_frame")
        still = motion < 0.02 and measurement(facts, "explained_variance") > 0.3
        if not (still or (motion < 0.25 and first > 3)) or wrong_range(facts.run.measured) is not None:
            return
        better = f"; the first frame is {first:.1f} dB better than the rest" if first > 1 else ""
        yield self.finding(
            "critical",
            f"The output changes from frame to frame {motion:.1%} as much as the clips do{better}: the video is frozen.",
            evidence=evidence(facts, "motion_ratio", "first_frame"),
        )


class BlurredOutput(Rule):
    """Fine detail is missing from the output.

    What it checks: energy above 0.25 cycles a pixel against the originals' under 0.5, in a model that explains more than
    half of the variance.

    Why it matters: PSNR hardly sees it, people do. The best answer to a pixel loss alone is the average of what is
    plausible, which is blurred.

    Evidence it needs: ``evaluation.hf_ratio``.

    What to do: add or raise LPIPS, start the GAN; with few nats per element lower the KL weight first.

    References: Open-Sora-Plan report 1.0.0; causes B1, C2.
    """

    code = "REC123"
    name = "blurred-output"
    needs = ("evaluation.hf_ratio",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        ratio = measurement(facts, "hf_ratio")
        if ratio < 0.5 and is_trained(facts):
            yield self.finding(
                "warn",
                f"The output has {ratio:.0%} of the originals' fine detail (power above 0.25 cycles a pixel): it is blurred.",
                evidence=evidence(facts, "hf_ratio", "psnr"),
            )


class NoisyOutput(Rule):
    """The output has more fine detail than the originals: noise or invented texture.

    What it checks: energy above 0.25 cycles a pixel against the originals' over 1.5, without a regular grid, which REC121
    names.

    Why it matters: invented texture flickers in videos and is not in the right place; LPIPS and a GAN reward it.

    Evidence it needs: ``evaluation.hf_ratio``.

    What to do: less GAN or LPIPS weight; compare with the checkpoint before the GAN.

    References: criteria D6, B4; CompVis/latent-diffusion.
    """

    code = "REC124"
    name = "noisy-output"
    needs = ("evaluation.hf_ratio",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        ratio = measurement(facts, "hf_ratio")
        grid = any(True for _ in GridInOutput().check(facts))
        if ratio > NOISY and not grid and is_trained(facts):
            yield self.finding(
                "warn",
                f"The output has {number(ratio)} times the originals' fine detail (power above 0.25 cycles a pixel): noise, or"
                " texture that is not in the input.",
                evidence=evidence(facts, "hf_ratio", "psnr"),
            )


class ColourBias(Rule):
    """The colours or the brightness of all clips are shifted the same way.

    What it checks: mean of output minus input of a channel, over all clips: more than 4 of 255 levels.

    Why it matters: LPIPS is nearly blind to it, and a chain of encodings adds it up.

    Evidence it needs: ``evaluation.colour_bias``.

    What to do: more pixel weight; train at the resolution of use; check that both sides of the loss are normalised alike.

    References: madebyollin/taesd#11; cause B6.
    """

    code = "REC125"
    name = "colour-bias"
    needs = ("evaluation.colour_bias",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        bias = LEVELS * measurement(facts, "colour_bias")
        if not bias > 4 or not is_trained(facts):
            return
        names = {"bias_r": "red", "bias_g": "green", "bias_b": "blue", "bias_grey": "grey"}
        shifts = {word: LEVELS * measurement(facts, name) for name, word in names.items()}
        said = ", ".join(f"{word} {value:+.1f}" for word, value in shifts.items() if value == value)
        yield self.finding(
            "critical" if bias > 12 else "warn",
            f"The output's mean differs from the input's in all clips alike, in 8-bit levels: {said}.",
            evidence=evidence(facts, "colour_bias"),
        )


class ChannelsSwapped(Rule):
    """The output's colour channels are in another order than the input's.

    What it checks: whether another order of the output's channels leaves less than a quarter of the error.

    Why it matters: the usual mixture is a reader that gives BGR (OpenCV) on one side. Losses then compare red with blue.

    Evidence it needs: ``evaluation.order_bgr_error`` and its like, on clips with colour.

    What to do: make the reader and the writer of pictures agree on RGB.

    References: OpenCV's imread gives BGR; cause A1 has the same test.
    """

    code = "REC126"
    name = "channels-swapped"
    needs = ("evaluation.order_bgr_error",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        order = wrong_order(facts.run.measured)
        if order is None:
            return
        left = measurement(facts, f"order_{order}_error")
        yield self.finding(
            "critical",
            f"Taken in the order {order.upper()} the output's channels leave {left:.0%} of the error: they are swapped.",
            evidence=evidence(facts, f"order_{order}_error"),
        )


class AnotherRange(Rule):
    """The output is in another range than the input.

    What it checks: whether undoing a usual mistake (0 to 1, 0 to 255, -0.5 to 0.5, reversed sign) leaves less than a quarter
    of the error.

    Why it matters: pictures look washed out or black although the network is well trained; every score is wrong.

    Evidence it needs: ``evaluation.range_0_1_error`` and its like.

    What to do: normalise to -1 to 1 before the encoder and undo just that after the decoder.

    References: lucidrains/magvit2-pytorch#7; cause A1.
    """

    code = "REC127"
    name = "output-in-another-range"
    needs = ("evaluation.range_0_1_error",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        key = wrong_range(facts.run.measured)
        if key is None:
            return
        left = measurement(facts, f"range_{key}_error")
        yield self.finding(
            "critical",
            f"The output has {RANGES[key]}: with that undone {left:.1%} of the error remains.",
            evidence=evidence(facts, f"range_{key}_error", "rec_mse"),
        )


class FirstFrameDiffers(Rule):
    """The first frame is much worse than the others.

    What it checks: PSNR of the first frame minus that of the rest under -3 dB.

    Why it matters: a causal model encodes the first frame alone, and images are such frames; a ghost there is the mark of
    a frame count off the causal grid, or of a model that saw no images.

    Evidence it needs: ``evaluation.first_frame``.

    What to do: clips of 1 + n x temporal compression frames; mix images into the training.

    References: zai-org/CogVideo#102; cause A8.
    """

    code = "REC128"
    name = "first-frame-worse"
    needs = ("evaluation.first_frame",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        gap = measurement(facts, "first_frame")
        if gap < -3 and is_trained(facts):
            yield self.finding(
                "warn",
                f"The first frame has {-gap:.1f} dB less PSNR than the others.",
                evidence=evidence(facts, "first_frame"),
            )


class ChunkSeams(Rule):
    """Cutting a video into chunks shows at their borders.

    What it checks: the change of the error from frame to frame at the borders of chunks over that elsewhere: more than 2;
    or more than 1 dB of PSNR lost by chunks.

    Why it matters: long videos are only ever decoded in chunks, and the training never saw the borders.

    Evidence it needs: ``evaluation.seam``, of clips that hold two chunks.

    What to do: share more frames between chunks, or cache the causal context; use chunks of the training's length.

    References: WF-VAE paper, table 5 (Allegro 31.71 to 25.31 dB in blocks); cause B12.
    """

    code = "REC129"
    name = "chunk-seams"
    needs = ("evaluation.seam",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        seam, loss = measurement(facts, "seam"), measurement(facts, "chunk_loss")
        if (seam > 2 or loss > 1) and is_trained(facts):
            yield self.finding(
                "warn",
                f"At the borders of chunks the error changes {seam:.1f} times as much as from frame to frame elsewhere, and"
                f" chunks cost {loss:.1f} dB.",
                evidence=evidence(facts, "seam", "chunk_loss"),
            )


class FlickeringOutput(Rule):
    """The output changes from frame to frame more than the clips do.

    What it checks: mean change from frame to frame of the output over that of the originals: more than 1.5, without
    the fine noise that REC124 names.

    Why it matters: scores of single frames do not see flicker, viewers see it first.

    Evidence it needs: ``evaluation.motion_ratio`` on clips that move.

    What to do: a three-dimensional discriminator, less LPIPS, a loss on frame differences.

    References: Overworldai/owl-vaes#10; cause B9.
    """

    code = "REC130"
    name = "flickering-output"
    needs = ("evaluation.motion_ratio",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        motion = measurement(facts, "motion_ratio")
        is_noise = measurement(facts, "hf_ratio") > NOISY
        if motion > 1.5 and not is_noise and is_trained(facts):
            yield self.finding(
                "warn",
                f"The output changes {number(motion)} times as much from frame to frame as the clips do: it flickers.",
                evidence=evidence(facts, "motion_ratio", "flickering"),
            )


class OutputExplainsNothing(Rule):
    """On held-out clips the output is no better than each clip's mean colour.

    What it checks: ``evaluation.explained_variance`` (1 - MSE / variance) at or below 0.05, in the right range and order.

    Why it matters: 0 is what a constant picture reaches, so the latent tells the decoder nothing, or the output is wrong.

    Evidence it needs: ``evaluation.explained_variance``.

    What to do: check that this is the checkpoint that was meant; reconstruct a training clip; go back to an older one.

    References: causes B8, C1.
    """

    code = "REC119"
    name = "output-explains-nothing"
    needs = ("evaluation.explained_variance",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        skill, measured = measurement(facts, "explained_variance"), facts.run.measured
        if skill <= 0.05 and wrong_range(measured) is None and wrong_order(measured) is None:
            yield self.finding(
                "critical",
                f"The output explains {skill:.2f} of the variance of held-out clips: a constant picture reaches 0.",
                evidence=evidence(facts, "explained_variance", "psnr"),
            )


class OutputNotFinite(Rule):
    """The decoder gives NaN or infinity.

    What it checks: held-out clips whose output holds NaN or infinity.

    Why it matters: the weights are damaged, or activations leave the range of half precision.

    Evidence it needs: ``evaluation.non_finite``.

    What to do: use the checkpoint before; run the decoder in float32; check the file's checksum.

    References: causes F1, I5.
    """

    code = "REC120"
    name = "output-not-finite"
    needs = ("evaluation.non_finite",)

    def check(self, facts: Facts) -> Iterable[Finding]:
        bad, clips = measurement(facts, "non_finite"), measurement(facts, "clips")
        if bad > 0:
            text = f"The output of {bad:.0f} of {clips:.0f} held-out clips holds NaN or infinity."
            yield self.finding("critical", text, evidence=evidence(facts, "non_finite"))

"""REC: does the output of a checkpoint, as ``vaelab evaluate`` measured it on held-out clips, follow its input at all?"""

from __future__ import annotations

import math
from collections.abc import Iterable

from vaelab.rules.measured import Evaluated, Numbers

RANGES = {
    "0_1": "0 to 1 in place of -1 to 1",
    "0_255": "0 to 255 in place of -1 to 1",
    "half": "-0.5 to 0.5 in place of -1 to 1",
    "inverted": "its sign reversed (a negative)",
}
UNDONE = 0.25  # share of the error that may remain when a wrong range or order is undone
FEWEST_CLIPS = 3  # below which an average over clips says little
TRAINED = 0.5  # 1 - MSE / variance below which a model is not yet judged by fine points


def wrong_range(of: Numbers) -> str | None:
    """Key in RANGES of the range that the output is in, if that is not -1 to 1."""
    errors = {key: of.get(f"range_{key}_error", math.inf) for key in RANGES}
    best = min(errors, key=lambda key: errors[key])
    return best if errors[best] < UNDONE else None


def wrong_order(of: Numbers) -> str | None:
    """The order (``bgr``) in which the output's channels fit the input's, if that is another one than the input's."""
    begin, end = "order_", "_error"
    errors = {name[len(begin) : -len(end)]: value for name, value in of.items() if name.startswith(begin)}
    best = min(errors, key=lambda key: errors[key], default=None)
    return best if best is not None and errors[best] < UNDONE else None


def explains_nothing(of: Numbers) -> bool:
    """Whether the output is no better than each clip's mean colour, beyond the chance of which clips were drawn."""
    return of["explained_variance_high"] <= 0.05 and wrong_range(of) is None and wrong_order(of) is None


def is_trained(of: Numbers) -> bool:
    """Whether the output follows the input well enough, in the right range and order and on enough clips, for finer points
    to mean anything."""
    follows = of["explained_variance"] > TRAINED and not of["clips"] < FEWEST_CLIPS
    return follows and wrong_range(of) is None and wrong_order(of) is None


class ChannelsSwapped(Evaluated):
    """The output's colour channels are in another order than the input's.

    What it checks: whether another order of the output's channels leaves less than a quarter of the error.
    Why it matters: the usual mixture is a reader that gives BGR (OpenCV) on one side. Losses then compare red with blue.
    Evidence it needs: ``evaluation.order_bgr_error`` and its like, on clips with colour.
    What to do: make the reader and the writer of pictures agree on RGB.
    References: OpenCV's imread gives BGR; cause A1 has the same test.
    """

    code = "REC126"
    name = "channels-swapped"
    finds = ("output", "contradicts")
    needs = ("evaluation.order_bgr_error",)

    def says(self, of: Numbers) -> str:
        order = wrong_order(of)
        if order is None:
            return ""
        left = of[f"order_{order}_error"]
        return (
            f"Taken in the order {order.upper()} the output's channels leave {left:.0%} of the error: they are swapped."
        )

    def rests_on(self, of: Numbers) -> Iterable[str]:
        return "clips", f"order_{wrong_order(of)}_error"


class AnotherRange(Evaluated):
    """The output is in another range than the input.

    What it checks: whether undoing a usual mistake (0 to 1, 0 to 255, -0.5 to 0.5, reversed sign) leaves less than a quarter
    of the error.
    Why it matters: pictures look washed out or black although the network is well trained; every score is wrong.
    What to do: normalise to -1 to 1 before the encoder and undo just that after the decoder.
    References: lucidrains/magvit2-pytorch#7; cause A1.
    """

    code = "REC127"
    name = "output-in-another-range"
    finds = ("output", "too-high")
    needs = ("evaluation.range_0_1_error",)

    def says(self, of: Numbers) -> str:
        key = wrong_range(of)
        if key is None:
            return ""
        return f"The output has {RANGES[key]}: with that undone {of[f'range_{key}_error']:.1%} of the error remains."

    def rests_on(self, of: Numbers) -> Iterable[str]:
        return "clips", f"range_{wrong_range(of)}_error", "rec_mse"


class TooEarly(Evaluated):
    """The model is not yet good enough, or the clips are too few, for finer faults to be judged.

    What it checks: ``evaluation.explained_variance`` (1 - MSE / variance) up to 0.5, in the right range and order, or fewer
    than 3 clips.
    Why it matters: a grid, blur, colours, noise, flicker and seams of so poor an output say nothing of their own.
    What to do: train on; evaluate more clips; check that they are of the kind the model was trained on.
    References: docs/evaluation.md.
    """

    code = "REC118"
    name = "too-early-for-finer-faults"
    finds = ("output", "as-expected")
    needs = ("evaluation.explained_variance",)
    shows = ("clips", "explained_variance")

    def says(self, of: Numbers) -> str:
        skill, clips = of["explained_variance"], of["clips"]
        if wrong_range(of) is not None or wrong_order(of) is not None or explains_nothing(of):
            return ""
        reasons = [f"the output explains {skill:.2f} of the variance of held-out clips"] if skill <= TRAINED else []
        reasons += [f"{clips:.0f} clips are few"] if clips < FEWEST_CLIPS else []
        if not reasons:
            return ""
        text = " and ".join(reasons)
        return (
            f"{text[0].upper()}{text[1:]}: finer faults (a grid, blur, noise, colours, flicker, seams) are judged from"
            f" {TRAINED} and {FEWEST_CLIPS} clips on."
        )


class OutputExplainsNothing(Evaluated):
    """On held-out clips the output is no better than each clip's mean colour.

    What it checks: the upper end of the 95% interval of ``evaluation.explained_variance`` (1 - MSE / variance) at or below
    0.05, in the right range and order.
    Why it matters: 0 is what a constant picture reaches, so the latent tells the decoder nothing, or the output is wrong.
    Evidence it needs: ``evaluation.explained_variance_high``, of 5 clips or more.
    What to do: check that this is the checkpoint that was meant; reconstruct a training clip; go back to an older one.
    References: causes B8, C1.
    """

    code = "REC119"
    name = "output-explains-nothing"
    finds = ("output", "collapsed")
    needs = ("evaluation.explained_variance_high",)
    shows = ("clips", "explained_variance", "explained_variance_high", "psnr")

    def says(self, of: Numbers) -> str:
        if not explains_nothing(of):
            return ""
        return (
            f"The output explains {of['explained_variance']:.2f} of the variance of held-out clips, at most"
            f" {of['explained_variance_high']:.2f} (95% interval): a constant picture reaches 0."
        )


class OutputNotFinite(Evaluated):
    """The decoder gives NaN or infinity.

    What it checks: held-out clips whose output holds NaN or infinity.
    Why it matters: the weights are damaged, or activations leave the range of half precision.
    What to do: use the checkpoint before; run the decoder in float32; check the file's checksum.
    References: causes F1, I5.
    """

    code = "REC120"
    name = "output-not-finite"
    finds = ("output", "non-finite")
    needs = ("evaluation.non_finite",)
    shows = ("clips", "non_finite")

    def says(self, of: Numbers) -> str:
        bad = of["non_finite"]
        return f"The output of {bad:.0f} of {of['clips']:.0f} held-out clips holds NaN or infinity." if bad > 0 else ""

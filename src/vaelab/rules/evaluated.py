"""REC: what ``vaelab evaluate`` measured on held-out clips: does the output follow its input, and which faults does it have."""

from __future__ import annotations

from vaelab.rules.measured import Entry, Numbers, rules_of

RANGES = {
    "0_1": "0 to 1 in place of -1 to 1",
    "0_255": "0 to 255 in place of -1 to 1",
    "half": "-0.5 to 0.5 in place of -1 to 1",
    "inverted": "its sign reversed (a negative)",
}
UNDONE = 0.25  # share of the error that may remain when a wrong range or order is undone
FEWEST_CLIPS = 3  # below which an average over clips says little
TRAINED = 0.5  # 1 - MSE / variance below which a model is not yet judged by fine points
LEVELS = 127.5  # 8-bit levels in one unit of the range -1 to 1
NOISY = 1.5  # energy of fine detail over that of the originals
LOCAL_GRID = "local_grid_peak local_grid_period local_grid_level"


def _undoes(of: Numbers, kind: str) -> str | None:
    """Name of the range or channel order (``kind``) that leaves little of the error when it is undone, if one does."""
    found = {n[len(kind) + 1 : -6]: e for n, e in of.items() if n.startswith(f"{kind}_") and n.endswith("_error")}
    best = min(found, key=lambda key: found[key], default=None)
    return best if best is not None and found[best] < UNDONE else None


def _misread(of: Numbers) -> bool:
    return _undoes(of, "range") is not None or _undoes(of, "order") is not None


def _explains_nothing(of: Numbers) -> bool:
    """Whether the output is no better than each clip's mean colour, beyond the chance of which clips were drawn."""
    return of["explained_variance_high"] <= 0.05 and not _misread(of)


def _trained(of: Numbers) -> bool:
    """Whether the output follows its input well enough, in the right range and order and on enough clips, for finer points
    to mean anything."""
    return of["explained_variance"] > TRAINED and not of["clips"] < FEWEST_CLIPS and not _misread(of)


def is_local_grid(peak: float, level: float) -> bool:
    """Whether a pattern in short windows of the output is a grid: power over that of both neighbours (and over the originals'),
    amplitude in 8-bit levels. White noise and blur have a peak of 1 and less."""
    return peak >= 1.5 and level >= 0.5


def local_grid(of: Numbers) -> str:
    """The sentence on such a pattern; empty where there is none."""
    if not is_local_grid(of["local_grid_peak"], of["local_grid_level"]):
        return ""
    return (
        "A pattern with a period of {local_grid_period} pixels follows the content of the output: in short windows it has"
        " {local_grid_peak:.1f} times the power of its neighbourhood, an amplitude of {local_grid_level:.1f} 8-bit levels, and the"
        " originals do not have it."
    ).format_map(of)


def _has_line(of: Numbers) -> bool:
    return of["grid_peak"] >= 2.5 and of["grid_level"] >= max(0.5, 1.5 * of["grid_input_level"])


def _grid(of: Numbers) -> str:
    if not _trained(of) or not _has_line(of):
        return local_grid(of) if _trained(of) else ""
    return (
        "A pattern with a period of {grid_period} pixels lies over the output: its line in the spectrum of the error is"
        " {grid_peak:.1f} times its neighbourhood, an amplitude of {grid_level:.1f} 8-bit levels; the originals have"
        " {grid_input_level:.1f} there."
    ).format_map(of)


def _too_early(of: Numbers) -> str:
    if _misread(of) or _explains_nothing(of):
        return ""
    skill, clips = of["explained_variance"], of["clips"]
    reasons = [f"the output explains {skill:.2f} of the variance of held-out clips"] if skill <= TRAINED else []
    reasons += [f"{clips:.0f} clips are few"] if clips < FEWEST_CLIPS else []
    text = " and ".join(reasons)
    return text and (
        f"{text[0].upper()}{text[1:]}: finer faults (a grid, blur, noise, colours, flicker, seams) are judged from {TRAINED} and"
        f" {FEWEST_CLIPS} clips on."
    )


def _frozen(of: Numbers) -> str:
    motion, first = of["motion_ratio"], of["first_frame"]
    still = (motion < 0.02 and of["explained_variance"] > 0.3) or (motion < 0.1 and first > 3)
    better = f"; the first frame is {first:.1f} dB better than the rest" if first > 1 else ""
    said = f"The output changes from frame to frame {motion:.1%} as much as the clips do{better}: the video is frozen."
    return said if still and _undoes(of, "range") is None else ""


def _colours(of: Numbers) -> str:
    names = {"bias_r": "red", "bias_g": "green", "bias_b": "blue", "bias_grey": "grey"}
    said = ", ".join(f"{word} {LEVELS * of[name]:+.1f}" for name, word in names.items() if name in of)
    return f"The output's mean differs from the input's in all clips alike, in 8-bit levels: {said}."


def _another_range(of: Numbers) -> str:
    key = _undoes(of, "range") or ""
    left = of[f"range_{key}_error"]
    return key and f"The output has {RANGES.get(key, key)}: with that undone {left:.1%} of the error remains."


def _another_order(of: Numbers) -> str:
    key = _undoes(of, "order") or ""
    left = of[f"order_{key}_error"]
    return (
        key
        and f"Taken in the order {key.upper()} the output's channels leave {left:.0%} of the error: they are swapped."
    )


MEASURED = rules_of(
    "evaluation", "vaelab evaluate on held-out clips",
    Entry("REC118", "too-early-for-finer-faults", ("output", "as-expected"), "explained_variance", says=_too_early, shows="clips",
          title="The model is not yet good enough, or the clips are too few, for finer faults to be judged",
          checks="``evaluation.explained_variance`` (1 - MSE / variance) up to 0.5, in the right range and order, or fewer than 3 clips",
          matters="a grid, blur, colours, noise, flicker and seams of so poor an output say nothing of their own",
          do="train on; evaluate more clips; check that they are of the kind the model was trained on", refs="docs/evaluation.md"),
    Entry("REC119", "output-explains-nothing", ("output", "collapsed"), "explained_variance_high", where=_explains_nothing,
          shows="clips explained_variance psnr",
          says="The output explains {explained_variance:.2f} of the variance of held-out clips, at most {explained_variance_high:.2f} (95%"
               " interval): a constant picture reaches 0.",
          title="On held-out clips the output is no better than each clip's mean colour",
          checks="the upper end of the 95% interval of ``evaluation.explained_variance`` (1 - MSE / variance) at or below 0.05, in the right"
                 " range and order",
          matters="0 is what a constant picture reaches, so the latent tells the decoder nothing, or the output is wrong",
          evidence="``evaluation.explained_variance_high``, of 5 clips or more",
          do="check that this is the checkpoint that was meant; reconstruct a training clip; go back to an older one", refs="causes B8, C1"),
    Entry("REC120", "output-not-finite", ("output", "non-finite"), "non_finite", where=lambda n: n["non_finite"] > 0, shows="clips",
          says="The output of {non_finite:.0f} of {clips:.0f} held-out clips holds NaN or infinity.",
          title="The decoder gives NaN or infinity", checks="held-out clips whose output holds NaN or infinity",
          matters="the weights are damaged, or activations leave the range of half precision",
          do="use the checkpoint before; run the decoder in float32; check the file's checksum", refs="causes F1, I5"),
    Entry("REC121", "grid-in-output", ("output", "unstable"), "grid_peak|local_grid_peak", says=_grid,
          shows=lambda n: "clips grid_period grid_level" if _has_line(n) else f"clips {LOCAL_GRID}",
          size=lambda n: n["grid_level" if _has_line(n) else "local_grid_level"],
          title="A regular grid or checkerboard lies over the output",
          checks="lines in the spectrum of the error at the multiples of 1 / stride of the decoder: power over 2.5 times that of the neighbouring"
                 " frequencies, an amplitude over half an 8-bit level, and 1.5 times that of the same line in the originals. A pattern that"
                 " follows the content is no such line: it is looked for in the spectra of short windows (four latents) of the output, at 1.5"
                 " times the power of both neighbours and of what the originals have there",
          matters="no loss shows it, it is visible in flat areas, and a diffusion model learns to make it too",
          evidence="``grid_peak`` or ``local_grid_peak`` of ``vaelab evaluate``",
          do="resize and convolve in place of transposed convolutions and pixel shuffles; a lower weight of the GAN if the grid came with it;"
             " train longer; look at the pictures of ``vaelab reconstruct``",
          refs="Odena et al. 2016; CompVis/taming-transformers#41; cause B5"),
    Entry("REC122", "frozen-output", ("output", "stuck"), "motion_ratio", says=_frozen, shows="clips first_frame",
          title="The output does not move although the clips do",
          checks="mean change from frame to frame of the output over that of the originals: under 0.02 in an output that explains some of the"
                 " variance, or under 0.1 where the first frame is more than 3 dB better than the rest",
          matters="on slow clips the loss of a frozen video is low; the temporal layers carry nothing",
          evidence="``evaluation.motion_ratio`` on clips that move",
          do="check the number of frames (1 + n x temporal compression) and the order of the axes",
          refs="Lightricks/LTX-Video-Trainer#3; causes B10, A8"),
    Entry("REC123", "blurred-output", ("output", "too-low"), "hf_ratio", where=lambda n: n["hf_ratio"] < 0.5 and _trained(n), shows="clips psnr",
          says="The output has {hf_ratio:.0%} of the originals' fine detail (power above 0.25 cycles a pixel): it is blurred.",
          title="Fine detail is missing from the output",
          checks="energy above 0.25 cycles a pixel against the originals' under 0.5, in a model that explains more than half of the variance",
          matters="PSNR hardly sees it, people do. The best answer to a pixel loss alone is the average of what is plausible, which is blurred",
          do="add or raise LPIPS, start the GAN; with few nats per element lower the KL weight first",
          refs="Open-Sora-Plan report 1.0.0; causes B1, C2"),
    Entry("REC124", "noisy-output", ("output", "too-high"), "hf_ratio", shows="clips psnr",
          where=lambda n: n["hf_ratio"] > NOISY and _trained(n) and not _grid(n),
          says="The output has {hf_ratio} times the originals' fine detail (power above 0.25 cycles a pixel): noise, or texture that is not in"
               " the input.",
          title="The output has more fine detail than the originals: noise or invented texture",
          checks="energy above 0.25 cycles a pixel against the originals' over 1.5, without a regular grid, which REC121 names",
          matters="invented texture flickers in videos and is not in the right place; LPIPS and a GAN reward it",
          do="less GAN or LPIPS weight; compare with the checkpoint before the GAN", refs="criteria D6, B4; CompVis/latent-diffusion"),
    Entry("REC125", "colour-bias", ("output", "contradicts"), "colour_bias", says=_colours, shows="clips",
          where=lambda n: n["colour_bias"] > 4 / LEVELS and not n["colour_bias"] < n["colour_shift"] / 2 and _trained(n),
          size=lambda n: LEVELS * n["colour_bias"],
          title="The colours or the brightness of all clips are shifted the same way",
          checks="mean of output minus input of a channel, over all clips: more than 4 of 255 levels, and more than half of what it is within a"
                 " clip whatever its sign",
          matters="LPIPS is nearly blind to it, and a chain of encodings adds it up",
          do="more pixel weight; train at the resolution of use; check that both sides of the loss are normalised alike",
          refs="madebyollin/taesd#11; cause B6"),
    Entry("REC126", "channels-swapped", ("output", "contradicts"), "order_bgr_error", says=_another_order,
          shows=lambda n: f"clips order_{_undoes(n, 'order')}_error", title="The output's colour channels are in another order than the input's",
          checks="whether another order of the output's channels leaves less than a quarter of the error",
          matters="the usual mixture is a reader that gives BGR (OpenCV) on one side. Losses then compare red with blue",
          evidence="``evaluation.order_bgr_error`` and its like, on clips with colour",
          do="make the reader and the writer of pictures agree on RGB", refs="OpenCV's imread gives BGR; cause A1 has the same test"),
    Entry("REC127", "output-in-another-range", ("output", "too-high"), "range_0_1_error", says=_another_range,
          shows=lambda n: f"clips range_{_undoes(n, 'range')}_error rec_mse", title="The output is in another range than the input",
          checks="whether undoing a usual mistake (0 to 1, 0 to 255, -0.5 to 0.5, reversed sign) leaves less than a quarter of the error",
          matters="pictures look washed out or black although the network is well trained; every score is wrong",
          do="normalise to -1 to 1 before the encoder and undo just that after the decoder", refs="lucidrains/magvit2-pytorch#7; cause A1"),
    Entry("REC128", "first-frame-worse", ("output", "worse"), "first_frame", where=lambda n: n["first_frame"] < -3 and _trained(n), shows="clips",
          says="The PSNR of the first frame differs from that of the others by {first_frame:+.1f} dB.",
          title="The first frame is much worse than the others", checks="PSNR of the first frame minus that of the rest under -3 dB",
          matters="a causal model encodes the first frame alone, and images are such frames; a ghost there is the mark of a frame count off the"
                  " causal grid, or of a model that saw no images",
          do="clips of 1 + n x temporal compression frames; mix images into the training", refs="zai-org/CogVideo#102; cause A8"),
    Entry("REC129", "chunk-seams", ("output", "jumped"), "seam", where=lambda n: (n["seam"] > 2 or n["chunk_loss"] > 1) and _trained(n),
          shows="clips chunk_loss",
          says="At the borders of chunks the error changes {seam:.1f} times as much as from frame to frame elsewhere, and chunks cost"
               " {chunk_loss:.1f} dB.",
          title="Cutting a video into chunks shows at their borders",
          checks="the change of the error from frame to frame at the borders of chunks over that elsewhere: more than 2; or more than 1 dB of"
                 " PSNR lost by chunks",
          matters="long videos are only ever decoded in chunks, and the training never saw the borders",
          evidence="``evaluation.seam``, of clips that hold two chunks",
          do="share more frames between chunks, or cache the causal context; use chunks of the training's length",
          refs="WF-VAE paper, table 5 (Allegro 31.71 to 25.31 dB in blocks); cause B12"),
    Entry("REC130", "flickering-output", ("output", "unstable"), "motion_ratio", shows="clips flickering",
          where=lambda n: n["motion_ratio"] > 1.5 and not n["hf_ratio"] > NOISY and _trained(n),
          says="The output changes {motion_ratio} times as much from frame to frame as the clips do: it flickers.",
          title="The output changes from frame to frame more than the clips do",
          checks="mean change from frame to frame of the output over that of the originals: more than 1.5, without the fine noise that REC124"
                 " names",
          matters="scores of single frames do not see flicker, viewers see it first", evidence="``evaluation.motion_ratio`` on clips that move",
          do="a three-dimensional discriminator, less LPIPS, a loss on frame differences", refs="Overworldai/owl-vaes#10; cause B9"),
)  # fmt: skip

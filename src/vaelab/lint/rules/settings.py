"""Options that do nothing, that the trainer does not know, and that nobody filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable

from vaelab.dialects.plan import Plan
from vaelab.lint.base import LintFinding, LintRule
from vaelab.rules.base import Severity
from vaelab.words import number

PLACEHOLDER = re.compile(
    r"(^|/)PATH(/|$)|^(DATA_DIR|META_PATH|INPUT_HEIGHT|INPUT_WIDTH)_\d+$|(^|/)path/to/|^<[^>]+>$|YOUR_|^\$\{?\w+\}?$",
    re.IGNORECASE,
)


class OptionWithoutEffect(LintRule):
    """An option is given that cannot take effect.

    What it checks: options that the trainer parses and never reads, or that another option switches off.

    Why it matters: the run is not the one that was asked for. At least thirty such options were found in eleven public
    trainers: betas, EMA, clipping, weights of the pixel loss.

    What to do: remove it, or do what its reason says.

    References: E7, G3; docs/decisions.md of vaelab
    """

    code = "LNT201"
    name = "option-without-effect"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        for option in plan.ignored:
            yield self.finding(
                "warn" if option.matters else "info",
                f"{plan.options.written(option.key, plan.options.get(option.key))} has no effect: {option.why}",
                plan,
                option.key,
                patch=[option.patch] if option.patch else (),
            )


class UnknownOption(LintRule):
    """An option is not one of the trainer's public version.

    What it checks: names that the reader of the trainer's settings does not know. Those that are no misspelling show a fork:
    then nothing is said that only the public code would do, its known faults among it.

    Why it matters: a command line with an unknown option does not start; in YAML a misspelt option is silently
    replaced by its default.

    What to do: compare with the trainer's own file; it may be of your own version.

    References: docs/decisions.md of vaelab
    """

    code = "LNT202"
    name = "unknown-option"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        if plan.fork:
            shown = ", ".join(plan.fork[:4]) + (f" and {len(plan.fork) - 4} more" if len(plan.fork) > 4 else "")
            yield self.finding(
                "info",
                f"{shown}: not of the public code, so this is {plan.title}, whose code is not known; faults and habits of the"
                " public code are not looked for",
                plan,
                *plan.fork,
                certain=False,
            )
        for key in plan.unknown:
            flag = plan.options.style == "flag"
            end = "the trainer does not start with it" if flag else "if it is misspelt, the default is used in silence"
            yield self.finding(
                "warn" if flag else "info",
                f"{key} is not known as an option of {plan.title}: {end}",
                plan,
                key,
                certain=False,
            )


class ResolutionNotRead(LintRule):
    """The resolution in the network's section is not the size of the data.

    What it checks: ddconfig.resolution against the size that the data have.

    Why it matters: the size of the images is that of the data; ddconfig.resolution only places the attention
    (latent-diffusion), or is read by nothing (RadioDiff, whose maps are 256x256).

    What to do: set it to the size of the data, so that the file says what is trained.

    References: G3; UNIC-Lab/RadioDiff configs/first_radio.yaml
    """

    code = "LNT203"
    name = "resolution-not-read"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        key = plan.sample.network_size
        value = plan.options.get(key)
        if value is None or plan.sample.height is None:
            return
        sizes = value if isinstance(value, list) else [value]
        if any(size != plan.sample.height for size in sizes if isinstance(size, int)):
            shown = "x".join(map(str, sizes))
            right: object = [plan.sample.height] * 2 if isinstance(value, list) else plan.sample.height
            yield self.finding(
                "warn",
                f"{key} {shown} is not the size of the data, {plan.sample.height}x{plan.sample.width}, which is what is trained on",
                plan,
                key,
                patch=[f"{key}: {right}"],
            )


class Placeholder(LintRule):
    """A value was never filled in.

    What it checks: values such as PATH/vae_ckpt, DATA_DIR_1, <name> or an unset shell variable.

    Why it matters: the run fails at its start, on a cluster perhaps after hours in a queue.

    What to do: fill it in.

    References: microsoft/VidTok configs; jy0205/Pyramid-Flow scripts/train_causal_video_vae.sh
    """

    code = "LNT204"
    name = "placeholder"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        for key, value in plan.options.items():
            if isinstance(value, str) and not value.startswith("${") and PLACEHOLDER.search(value):
                yield self.finding(
                    "warn", f"{key} is a placeholder: {value}", plan, key, certain=not value.startswith("$")
                )


class FramesOffTheGrid(LintRule):
    """The number of frames does not fit the model's compression in time.

    What it checks: causal models encode the first frame alone and take 1 + k times their factor, the others k times it.

    Why it matters: the rest is padded, cut or refused: in the best case an error, in the worst every clip ends with
    frames that were made up, and the loss counts them.

    What to do: use the nearest number that fits.

    References: jy0205/Pyramid-Flow scripts/train_causal_video_vae.sh (x * 8 + 1); arXiv 2310.05737
    """

    code = "LNT205"
    name = "frames-off-the-grid"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        frames, grid = plan.sample.frames, plan.sample.grid
        if frames is None or grid is None:
            return
        step, first = grid
        if frames >= max(first, 1) and (frames - first) % step == 0:
            return
        below = first + (frames - first) // step * step
        near = [n for n in (below, below + step) if n >= max(first, 1)]
        form = f"1 + a multiple of {step}" if first else f"a multiple of {step}"
        yield self.finding(
            "critical" if plan.own else "warn",
            f"{frames} frames: {plan.sample.model} takes {form}, so {' or '.join(map(str, near))}",
            plan,
            "frames",
            patch=[plan.written("frames", near[-1])] if not plan.sample.frames_in_name else (),
        )


class SizeOffTheGrid(LintRule):
    """Height or width is no multiple of the model's compression.

    What it checks: the size of a sample against the factor of the model.

    Why it matters: the reconstruction has another size than the original, or its edge is padding.

    What to do: use the nearest multiple.

    References: the arithmetic of strided convolutions
    """

    code = "LNT206"
    name = "size-off-the-grid"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        sample = plan.sample
        for size in dict.fromkeys((sample.height, sample.width)):
            if size and sample.factor and size % sample.factor:
                near = max(size // sample.factor, 1) * sample.factor
                yield self.finding(
                    "critical",
                    f"a size of {size} is no multiple of the {number(sample.factor)} pixels of one latent ({sample.model})",
                    plan,
                    "size",
                    patch=[plan.written("size", [near, near] if plan.own else near)],
                )


class ContextParallel(LintRule):
    """Context parallelism does not fit the GPUs or the frames.

    What it checks: in Pyramid-Flow, GPUs as a multiple of --context_size, and frames after the first as a multiple of it
    and of the compression in time.

    Why it matters: clips are cut into equal parts, one for each GPU of a group: what cannot be cut fails in the middle of
    the first step.

    What to do: --max_frames 1 + k x 8 x context_size, GPUs a multiple of context_size.

    References: jy0205/Pyramid-Flow scripts/train_causal_video_vae.sh (GPUS % CONTEXT_SIZE == 0)
    """

    code = "LNT207"
    name = "context-parallel"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        if not plan.options.flag("use_context_parallel"):
            return
        size, gpus, frames = plan.options.whole("context_size", 2) or 1, plan.optim.gpus, plan.sample.frames
        if gpus is not None and gpus % size:
            text = f"{gpus} GPUs are no multiple of --context_size {size}"
            yield self.finding(
                "critical", text, plan, "context_size", patch=[f"--nproc_per_node {max(gpus // size, 1) * size}"]
            )
        if frames is not None and (frames - 1) % (8 * size):
            near = 1 + max(round((frames - 1) / (8 * size)), 1) * 8 * size
            text = f"{frames} frames cannot be cut into {size} parts: 1 + a multiple of {8 * size} is needed"
            yield self.finding("critical", text, plan, "frames", patch=[f"--max_frames {near}"])


class PictureSmallerThanDiscriminator(LintRule):
    """The pictures are too small for the discriminator's layers.

    What it checks: in vaelab's own settings, height and width against 3 x 2^disc_layers pixels.

    Why it matters: the discriminator first runs at disc_start - disc_warmup, so a run of days would stop there with an error.

    What to do: fewer layers, or larger pictures.

    References: the arithmetic of PatchGAN's strided convolutions
    """

    code = "LNT208"
    name = "picture-smaller-than-discriminator"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        layers, sample = plan.options.whole("loss.disc_layers", 3), plan.sample
        if not plan.own or not plan.gan.built or plan.options.get("loss.disc") == "features":
            return
        if layers is None or sample.height is None or sample.width is None:
            return
        smallest, side = 3 * 2**layers, min(sample.height, sample.width)
        if side < smallest:
            fitting = max((n for n in range(1, layers) if 3 * 2**n <= side), default=1)
            yield self.finding(
                "critical",
                f"pictures of {sample.height}x{sample.width} are too small for {layers} layers of the discriminator, which need"
                f" {smallest}x{smallest}: the run would stop when the GAN begins",
                plan,
                "loss.disc_layers",
                "size",
                patch=[f"loss.disc_layers={fitting}"],
            )


class RefusedByTrain(LintRule):
    """vaelab train would refuse these settings.

    What it checks: in vaelab's own settings, what keeps a training from starting and shows without a look at the data: no
    data.path, several frames from a source of single images, options that the source does not have.

    Why it matters: a job that waits for hours in a queue ends at once, with the sentence that is shown here.

    What to do: as the sentence says. A missing data.path is only a warning, since it may be given on the command line.

    References: the checks that vaelab train itself makes
    """

    code = "LNT209"
    name = "refused-by-train"

    def check(self, plan: Plan) -> Iterable[LintFinding]:
        for option, why in plan.refused:
            severity: Severity = "warn" if option == "data.path" else "critical"
            yield self.finding(severity, f"vaelab train refuses this: {why}", plan, option, "data.source")

"""Units: PSNR, KL per latent element, effective beta, known faults of the trainer. Normalise before judging."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vaelab.analysis import level
from vaelab.facts.algebra import Algebra
from vaelab.facts.identities import in_force
from vaelab.facts.rec_kinds import REC_KINDS
from vaelab.facts.view import View, numbers


@dataclass(frozen=True)
class Latent:
    """Latent shape: ``shape`` is (C, T, H, W) or (C, H, W); ``how`` says where it comes from."""

    shape: tuple[int, ...]
    how: str
    standing: str

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def channels(self) -> int:
        return self.shape[0]

    @property
    def frames(self) -> int:
        return self.shape[1] if len(self.shape) == 4 else 1

    def __str__(self) -> str:
        return "x".join(str(d) for d in self.shape)


@dataclass(frozen=True)
class Scales:
    """Conversions that hold for this run; None where the log does not allow one.

    peak: input range width (2 for [-1, 1]); psnr_exact: the column ``error`` (rec_loss, or rec_mse where that is logged beside
    another loss) is the MSE, so PSNR follows; mse_bound: factor c with MSE <= c * rec_loss. nats: multiply the printed KL by it to get nats per latent element. clip_elements: C*T*H*W of
    one input sample. effective_beta: KL weight in sum/sum units (LDM convention). kl_nats_total: KL of one sample in nats.
    clip_assumed: the clip size is the script's default, not declared: no verdict may rest on it alone.
    """

    peak: float | None
    psnr_exact: bool
    mse_bound: float | None
    latent: Latent | None
    nats: float | None
    clip_elements: float | None
    effective_beta: float | None
    kl_nats_total: float | None
    clip_assumed: bool
    error: str = "rec_loss"

    def psnr(self, rec: float) -> float | None:
        """PSNR in dB of a mean squared error ``rec``, a value of the column ``error``; None if no column is one."""
        if not self.psnr_exact or self.peak is None or not rec > 0:
            return None
        return 10 * math.log10(self.peak**2 / rec)

    def psnr_bound(self, rec: float) -> float | None:
        """Lower bound of PSNR in dB where rec_loss contains more than the MSE."""
        if self.mse_bound is None or self.peak is None or not rec > 0:
            return None
        return 10 * math.log10(self.peak**2 / (self.mse_bound * rec))

    def nats_per_element(self, kl: float) -> float | None:
        return None if self.nats is None else kl * self.nats


def find_scales(view: View, algebra: Algebra) -> Scales:
    """Units of this run from the trainer's code, the declared shapes and the solved constants."""
    declared_range = numbers(view.run.config.get("input_range"))
    low_high = tuple(declared_range) if len(declared_range) == 2 else view.trainer.input_range
    peak = abs(low_high[1] - low_high[0]) if low_high else None
    kind = view.trainer.rec_kind
    error, error_kind = view.error
    exact = error_kind == "mse" and peak is not None
    bound = REC_KINDS[kind].mse_bound(peak) if peak is not None and kind in REC_KINDS and kind != "mse" else None
    if kind == "l1-sum" and peak is not None and (frame := _frame_elements(view)) is not None:
        bound = peak / frame
    latent, reduction = _latent(view, algebra), view.trainer.kl_reduction
    channels = latent.channels if latent else view.number("latent_channels") or view.trainer.latent_channels
    # how many of the printed values make the nats of one sample
    parts = {
        "sum-per-sample": 1.0, "sum-per-channel": channels, "sum-per-latent-frame": latent.frames if latent else None,
        "mean": latent.elements if latent else None,
    }.get(reduction)  # fmt: skip
    nats = 1.0 if reduction == "mean" else parts / latent.elements if latent and parts else None
    logged = _logged_nats(view)
    if logged is not None:
        nats, parts = logged, parts or (logged * latent.elements if latent else None)
    clip, assumed = _clip_elements(view, algebra)
    beta = _effective_beta(view, algebra, parts, clip)
    total = view.series("kl_loss").now * parts if view.has("kl_loss") and parts else None
    return Scales(peak, exact, bound, latent, nats, clip, beta, total, assumed, error)


def _logged_nats(view: View) -> float | None:
    """Nats per element over the printed KL, where the trainer logs both."""
    if not view.has("kl_loss", "kl_nats_per_element"):
        return None
    values, _, _ = view.joint(("kl_loss", "kl_nats_per_element"))
    some = values["kl_loss"] > 0
    return level(values["kl_nats_per_element"][some] / values["kl_loss"][some]) if some.any() else None


def _latent(view: View, algebra: Algebra) -> Latent | None:
    declared = [int(v) for v in numbers(view.run.config.get("latent_shape")) if v >= 1]
    if len(declared) in (3, 4):
        return Latent(tuple(declared), "declared", "declared")
    channels = view.number("latent_channels") or view.trainer.latent_channels
    if channels is None:
        return None
    compression = [int(v) for v in numbers(view.run.config.get("compression")) if v >= 1]
    assumed = ""
    if len(compression) == 2:
        compression = [1, *compression]
    if not compression:
        multipliers = view.run.config.get("ch_mult")
        if isinstance(multipliers, list | tuple) and multipliers:
            factor = 2 ** (len(multipliers) - 1)
            compression = [1, factor, factor]
            assumed = "compression from ch_mult"
        elif view.trainer.compression and channels == view.trainer.latent_channels:
            # another channel count is another model: its compression is anybody's guess
            compression = list(view.trainer.compression)
            assumed = f"{'x'.join(map(str, compression))} compression, the published {view.trainer.title} model"
    if len(compression) != 3:
        return None
    t, h, w = compression
    usual = view.trainer.default_clip
    if view.clip is not None:
        frames, height, width = view.clip
        source = "declared clip"
    else:
        frames = int(view.number("max_frames") or 0)
        size = _size(view, algebra)
        if size is None:
            if usual is None:
                return None
            frames, height, width = usual
            source = f"if the clips are {frames} frames at {height}x{width}, the script's default"
        else:
            height = width = size
            source = "clip size declared in the log" if usual else "image size from the loss algebra"
            if usual and not frames:
                frames, source = usual[0], f"clip size declared, {usual[0]} frames assumed"
    if height < h or width < w or height % h or width % w:
        return None
    if view.trainer.images_only or (t == 1 and frames <= 1):
        shape: tuple[int, ...] = (int(channels), height // h, width // w)
    else:
        shape = (int(channels), 1 + max(0, frames - 1) // t, height // h, width // w)
    how = ", ".join(s for s in (source, assumed) if s)
    return Latent(shape, how, "inferred" if not assumed.startswith("8x") else "bounded")


def _size(view: View, algebra: Algebra) -> int | None:
    n = algebra.value("n_pixels")
    if n is not None and not view.trainer.default_clip:
        channels = view.number("input_channels") or view.trainer.input_channels or 3
        size = math.sqrt(n / channels)
        return round(size) if abs(size - round(size)) < 1e-6 else None
    resolution = view.number("resolution")
    if resolution is not None and 1 <= resolution <= 1e9 and view.trainer.default_clip:
        return int(resolution)
    return None


def _frame_elements(view: View) -> float | None:
    """C*H*W of one declared frame."""
    size = view.number("resolution")
    area = view.clip[1] * view.clip[2] if view.clip is not None else size * size if size else None
    return (view.number("input_channels") or 3) * area if area else None


def _clip_elements(view: View, algebra: Algebra) -> tuple[float | None, bool]:
    """``(C*T*H*W of one sample, whether that is only the script's default)``."""
    n = algebra.value("n_pixels")
    if n is not None and not view.trainer.weights_apart:
        return n, False
    channels = view.number("input_channels") or 3
    if view.clip is not None:
        return channels * math.prod(view.clip), False
    frames, size = view.number("max_frames"), view.number("resolution")
    if frames and size:
        return channels * frames * size * size, False
    if view.trainer.default_clip and not size:
        return 3.0 * math.prod(view.trainer.default_clip), True
    return None, False


def _effective_beta(view: View, algebra: Algebra, parts: float | None, clip: float | None) -> float | None:
    """KL weight in sum/sum units: what one nat of a sample costs over what one unit of its summed pixel loss costs. parts: as in ``find_scales``."""
    weight = in_force(view, algebra.solved, "kl_weight")
    kl, nll = view.trainer.kl_reduction, view.trainer.nll_reduction
    if weight is None or parts is None:
        return None
    if view.trainer.weights_apart:
        frame, pixel = _frame_elements(view), view.number("pixelloss_weight")
        per_value = {
            "mean": 1.0 / clip if clip else None,
            "sum-per-sample": 1.0,
            "sum-per-frame": frame / clip if frame and clip else None,
        }.get(nll)
        return weight / parts / (pixel * per_value) * _variance(view) if per_value and pixel else None
    if kl == nll == "sum-per-sample":
        return weight * _variance(view)
    pixel = algebra.value("pixelloss_weight") or view.number("pixelloss_weight")
    return weight * clip / (parts * pixel) if kl == "sum-per-channel" and clip and pixel else None


def _variance(view: View) -> float:
    """exp(logvar), 1 where none is logged. nll is divided by it: so is, in effect, the weight of everything beside it multiplied."""
    logvar = view.series("logvar")
    return math.exp(min(float(logvar.values[-1]), 30.0)) if len(logvar) else 1.0

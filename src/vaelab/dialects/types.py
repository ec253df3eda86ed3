"""Dialect: what one public trainer means by the columns it prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

RecKind = Literal[
    "mse",
    "l1",
    "l1+mse",
    "charbonnier",
    "l1-sum",
    "l1+mse+lpips",
    "l1+lpips",
    "mse+lpips",
    "weighted-nll-sum",
    "mse-sum",
    "bce-sum",
    "cross-entropy",
    "spectral",
    "unknown",
]
Reduction = Literal["mean", "sum-per-sample", "sum-per-frame", "unknown"]
KLReduction = Literal[
    "sum-per-sample", "sum-per-channel", "mean", "sum-per-latent-frame", "weighted", "none", "unknown"
]


@dataclass(frozen=True)
class KnownFault:
    """A fault of the trainer's own code. ``cause`` is a row of the fault catalogue; few of them show in a log."""

    cause: str
    text: str


@dataclass(frozen=True)
class Signature:
    """How a log of this trainer is told from others: all ``columns`` are there and none of ``without``.

    Names are bare (lower case, blanks as underscores, no ``train/``, no ``_step``). formats: readers whose logs count, all
    if empty. settings: names that must stand in the settings that the log prints, or beside its columns. confidence: 0 to
    1, how sure a log with it is of this trainer; the surest wins.
    """

    columns: frozenset[str]
    confidence: float = 0.9
    without: frozenset[str] = frozenset()
    formats: tuple[str, ...] = ()
    settings: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Dialect:
    """Conventions of one trainer.

    source: file and commit of the public code that they were read from. reading_only: a neighbour (an audio codec) whose
    logs are read and judged by general rules; vaelab knows no settings, faults or checkpoints of it.
    recognised_by: any of these; the columns that say ``this trainer and not its parent`` belong into them.

    losses: bare names of all losses that the public code logs; a log with another loss beside them is of a fork, whose
    formulas are not these. Empty where the code logs what it is told to. fork: those other losses, in the conventions of such a
    log; then only what the columns hold is the parent's.

    columns: name in this trainer's log (without split and suffix) -> canonical name, where the catalogue's aliases would
    read it as something else. rec_kind: what ``rec_loss`` holds (``l1-sum``: summed over a frame). kl_reduction
    ``sum-per-channel`` is Pyramid-Flow's: summed over T, H, W, then averaged over batch and channels. d_weight_logged_before_start: the column is non-zero although the GAN is off.
    half_total_in: file formats in which ``total_loss`` is (generator + discriminator loss) / 2.
    extra_terms: metric -> config key of its weight, for terms of the loss beside nll, KL and GAN.
    weighted_terms: metric -> column that holds its weight in the same row, for terms of the total whose weight changes
    from step to step. size_varies: pictures of several sizes are trained, so no sum over pixels has one number of them.
    disc_loss_family: ``least-squares`` has the targets 1 (real) and 0 (fake). disc_loss_scale: disc_loss over the mean of its two
    halves in one discriminator (2 where they are added and not halved, 16 where that is summed over eight discriminators).
    precision: relative rounding of the losses themselves (0.002 for bf16), 0 for float32.
    options: canonical config key -> how this trainer spells it, with ``{}`` for the value.
    weights_apart: nll = n x ((pixelloss_weight x rec + perceptual_weight x perceptual) / exp(logvar) + logvar) in every
    reduction, n by nll_reduction: no weight and no perceptual part is inside ``rec_loss``.
    clamp: d_weight is at most disc_weight x clamp. fixed_d_weight: d_weight is disc_weight itself, not adaptive.
    disc_warms_up: the discriminator may be trained (and logged) before the generator sees it.
    own: vaelab's own trainer, whose settings say all that was done (also that no weights were loaded), and which vaelab's
    other commands take. images_only: it never trains on clips. input_channels: values of a pixel, None where they differ.
    default_clip: (frames, height, width) of a trainer of clips where nothing is declared; ``resolution`` in its settings is
    the size of the data. smoothed_formats: the formats in which its values are said to be medians of a window; in a table
    made from them nothing says so. default_warmup: config key that the warm-up has the length of where none is declared.
    setting_names: name of a setting in this trainer's files and logs -> canonical config key, where it has another name.
    declared: fields of this class that follow from the declared settings (canonical keys), for a trainer whose loss is a
    matter of settings.
    """

    id: str
    title: str
    recognised_by: tuple[Signature, ...]
    source: str = ""
    reading_only: bool = False
    losses: frozenset[str] = frozenset()
    fork: tuple[str, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    rec_kind: RecKind = "unknown"
    nll_reduction: Reduction = "unknown"
    kl_reduction: KLReduction = "unknown"
    total_column: str = "total_loss"
    total_includes_gan: bool = True
    disc_loss_family: Literal["hinge", "vanilla", "least-squares", "unknown"] = "unknown"
    input_range: tuple[float, float] | None = (-1.0, 1.0)
    latent_channels: int | None = None
    compression: tuple[int, int, int] | None = None
    d_weight_logged_before_start: bool = False
    half_total_in: tuple[str, ...] = ()
    steps_per_batch: int = 1
    clip_before_step: bool = True
    logvar_learned: bool = False
    extra_terms: Mapping[str, str] = field(default_factory=dict)
    weighted_terms: Mapping[str, str] = field(default_factory=dict)
    size_varies: bool = False
    disc_loss_scale: float = 1.0
    precision: float = 0.0
    weights_apart: bool = False
    clamp: float = 1e4
    fixed_d_weight: bool = False
    disc_warms_up: bool = False
    formulas: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    known_faults: tuple[KnownFault, ...] = ()
    defaults: Mapping[str, float | int] = field(default_factory=dict)
    own: bool = False
    images_only: bool = False
    input_channels: int | None = None
    default_clip: tuple[int, int, int] | None = None
    smoothed_formats: tuple[str, ...] = ()
    default_warmup: str = ""
    setting_names: Mapping[str, str] = field(default_factory=dict)
    declared: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = None

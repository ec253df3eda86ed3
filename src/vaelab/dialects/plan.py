"""What a file of settings would do, in units that all trainers share. None stands for what the file does not say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vaelab.dialects.options import Options


@dataclass(frozen=True)
class Schedule:
    """Lengths in generator updates. length: how ``updates`` came about, for a sentence. warmup: of the learning rate.
    checkpoint_every: None also where the last step is always saved. must_fit: a warm-up longer than the run ends the start
    with an error. contradiction, mended: why the options give no schedule at all, and the lines to change."""

    updates: int | None = None
    length: str = ""
    warmup: int | None = None
    kl_warmup: int | None = None
    checkpoint_every: int | None = None
    must_fit: bool = False
    contradiction: str = ""
    mended: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gan:
    """The adversarial part.

    built: whether a discriminator is built at all. start: as the file gives it, in the trainer's own counter. counts: how
    many of its counts one generator update takes (2 where the steps of both optimizers are counted, or where the
    networks take turns), None where it depends on versions. counter: what that counter counts. warmed_up: whether the
    discriminator is trained before the generator sees it. asked: the file has options of a GAN.
    fails_unbuilt: a run that comes to start without a discriminator ends with an error.
    """

    built: bool | None = None
    asked: bool = False
    start: float | None = None
    counts: float | None = 1.0
    counter: str = "generator updates"
    warmed_up: bool = False
    ramp: int = 0
    fails_unbuilt: bool = False

    @property
    def start_update(self) -> float | None:
        """The generator update at which the generator first sees the discriminator."""
        return None if self.start is None or self.counts is None else self.start / self.counts


@dataclass(frozen=True)
class Loss:
    """nll, kl: the reduction (``mean``, ``sum``, ``sum_per_frame``; for the KL also ``channel_mean``)."""

    nll: str | None = None
    pixel_weight: float | None = 1.0
    perceptual_weight: float | None = None
    kl_weight: float | None = None
    kl: str | None = None
    logvar_learned: bool = False


@dataclass(frozen=True)
class Sample:
    """One sample and its latent. grid: (step, first): frames come as first + k * step. factor: of height and width.
    network_size: option of the network's section that gives a size, where the data decide it. frames_in_name: the number of
    frames is part of an option's name, which no line to change can give."""

    channels: int | None = None
    frames: int | None = None
    height: int | None = None
    width: int | None = None
    latent_channels: int | None = None
    grid: tuple[int, int] | None = None
    time_factor: int | None = None
    factor: int | None = None
    model: str = "the model"
    network_size: str = ""
    frames_in_name: bool = False

    @property
    def elements(self) -> int | None:
        """Values of one sample, C * T * H * W."""
        parts = (self.channels, self.frames, self.height, self.width)
        return None if None in parts else _product(parts)

    @property
    def latent_frames(self) -> int | None:
        if self.frames is None or not self.time_factor:
            return None
        first = self.grid[1] if self.grid else 0
        return first + max(self.frames - first, 0) // self.time_factor

    @property
    def latent_elements(self) -> int | None:
        """Values of one latent."""
        parts = (self.latent_channels, self.latent_frames, self.height, self.width, self.factor)
        if None in parts or not self.factor:
            return None
        return _product(parts[:2]) * (self.height // self.factor) * (self.width // self.factor)  # type: ignore[operator]


def _product(parts: Any) -> int:
    result = 1
    for part in parts:
        result *= part
    return result


@dataclass(frozen=True)
class Optim:
    """rate: what the optimizer gets. base: what the file says. scaled: the trainer multiplies the base by batch, GPUs and
    accumulation. manual: Lightning's manual optimisation, which refuses accumulation and clipping by its Trainer.
    networks: the trainer takes ``accumulate`` for the number of its networks, which is this."""

    rate: float | None = None
    base: float | None = None
    scaled: bool = False
    copied_base: bool = False
    batch: int | None = None
    gpus: int | None = None
    accumulate: int | None = 1
    manual: bool = False
    networks: int | None = None
    clip: float | None = None
    ema_decay: float | None = None
    ema_every: int = 1
    precision: str = "fp32"
    loss_in_precision: bool = False


@dataclass(frozen=True)
class Ignored:
    """An option that cannot take effect, and why. matters: what it asks for is not what happens."""

    key: str
    why: str
    matters: bool = True
    patch: str = ""


@dataclass(frozen=True)
class Plan:
    """One training that a file describes. trainer: id of its source of settings. keys: common name (``disc_start``, ``lr``,
    ``kl_weight``, ``frames`` ...) -> the trainer's option, for lines and patches. unknown: options that the trainer does
    not know. fork: those that show other code than the trainer's public one; nothing that rests on its code is asserted. refused:
    options that keep the training from starting, each with the sentence it ends with."""

    trainer: str
    title: str
    options: Options
    keys: Mapping[str, str] = field(default_factory=dict)
    schedule: Schedule = Schedule()
    gan: Gan = Gan()
    loss: Loss = Loss()
    sample: Sample = Sample()
    optim: Optim = Optim()
    ignored: tuple[Ignored, ...] = ()
    unknown: tuple[str, ...] = ()
    own: bool = False
    refused: tuple[tuple[str, str], ...] = ()
    fork: tuple[str, ...] = ()

    def as_fork(self, signs: tuple[str, ...]) -> Plan:
        """The same where ``signs`` are not empty, without what only the trainer's own code would do: reductions, factors
        of the rate, options without effect. What the options themselves say stays."""
        if not signs:
            return self
        optim = replace(
            self.optim,
            rate=None if self.optim.scaled else self.optim.rate,
            scaled=False,
            copied_base=False,
            networks=None,
        )
        return replace(
            self,
            title=f"a fork of {self.title}",
            schedule=replace(self.schedule, must_fit=False, contradiction=""),
            gan=replace(self.gan, fails_unbuilt=False),
            loss=replace(self.loss, nll=None, kl=None),
            optim=optim,
            ignored=(),
            unknown=tuple(key for key in self.unknown if key not in signs),
            fork=signs,
        )

    def key(self, name: str) -> str:
        """The trainer's option for a common name; the name itself if it has none."""
        return self.keys.get(name, name)

    def written(self, name: str, value: Any = None) -> str:
        """The common option ``name`` set to ``value``, in the trainer's spelling."""
        return self.options.written(self.key(name), value)

    @property
    def beta(self) -> float | None:
        """The KL weight where nll and KL are both summed over a sample and the pixel loss has weight 1, as in
        latent-diffusion: what compares between trainers. None where the file does not tell."""
        loss, sample = self.loss, self.sample
        if loss.kl_weight is None or not loss.pixel_weight or loss.nll is None or loss.kl is None:
            return None
        of_nll = {"sum": 1, "sum_per_frame": sample.frames, "mean": sample.elements}[loss.nll]
        of_kl = {
            "sum": 1,
            "sum_per_frame": sample.latent_frames,
            "mean": sample.latent_elements,
            "channel_mean": sample.latent_channels,
        }[loss.kl]
        if of_nll is None or not of_kl:
            return None
        return loss.kl_weight * of_nll / of_kl / loss.pixel_weight

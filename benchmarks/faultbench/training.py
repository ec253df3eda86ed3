"""One training of the fault bench: vaelab's training step on a small system, with hooks where a fault is planted.

Every step is measured without smoothing; what a trainer would have logged of it is the matter of `dialects`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from networks import RandomFeatures, SmallAutoencoder
from systems import EPOCH, HELD_OUT, System, configuration
from torch import Tensor, nn

from vaelab.config import TrainConfig
from vaelab.data import open_data, train_batches, val_batches
from vaelab.data.types import Batch
from vaelab.evaluation import validate
from vaelab.evaluation.pictures import from_uint8
from vaelab.losses import Objective, disc_loss, gen_loss
from vaelab.losses.adaptive import d_weight_ratio
from vaelab.models import Autoencoder, build_discriminator
from vaelab.training.build import derived
from vaelab.training.distributed import Ranks
from vaelab.training.schedule import learning_rate
from vaelab.training.step import TrainingStep
from vaelab.training.update import Applied, Updater

CACHE = Path(tempfile.gettempdir()) / "vaelab-faultbench"
Row = dict[str, float]


@dataclass
class Result:
    """What a run measured. rows: one a step. validations: (step, scores). events: (kind, step, details)."""

    config: TrainConfig
    system: System
    rows: list[Row]
    validations: list[tuple[int, Row]]
    events: list[tuple[str, int, dict[str, Any]]]
    numbers: Row
    """Taken after the last step on held-out data, never logged: they prove a fault."""
    derived: dict[str, Any]
    weights: dict[str, Tensor] = field(repr=False)


class Training:
    """A run that has not started yet; `plant` changes it through its hooks."""

    def __init__(
        self,
        system: System,
        seed: int,
        changes: Mapping[str, Any],
        start: Mapping[str, Tensor] | None = None,
        guarded: bool = True,
    ) -> None:
        """changes: dotted settings. start: weights of a pretrained autoencoder. guarded: whether updates that are not
        finite are skipped, and ten of them in a row end the run, as in vaelab's trainer."""
        self.system, self.seed = system, seed
        self.config = configuration(system, seed, changes)
        self.train, self.held_out = samples(system, seed, self.config)
        torch.manual_seed(seed)
        self.step = _step(self.config)
        if start is not None:
            self.step.autoencoder.load_state_dict(start)
            if self.step.ema is not None:
                self.step.ema.network.load_state_dict(start)
        torch.manual_seed(seed + 1)
        self.now = 0
        self.guarded, self.skipped = guarded, 0
        self.stops_at_nan = system.name == "pyramid"
        self.loss_scale: float | None = None
        # hooks
        self.data: list[Callable[[Tensor, int], Tensor]] = []
        self.before: list[Callable[[int], None]] = []
        self.after: list[Callable[[int], None]] = []
        self.undo: list[Callable[[], None]] = []
        self.lr_factor: Callable[[int], float] = lambda step: 1.0
        self.events: list[tuple[str, int, dict[str, Any]]] = []
        self.order: Callable[[int], Tensor] = self._shuffled
        for updater in (self.step.generator_update, self.step.disc_update):
            if updater is not None and not guarded:
                updater.apply = _without_guard(updater)  # type: ignore[method-assign]
        apply = self.step.generator_update.apply
        self.step.generator_update.apply = lambda lr: apply(lr * self.lr_factor(self.now))  # type: ignore[method-assign]

    @property
    def autoencoder(self) -> nn.Module:
        return self.step.autoencoder

    def at(self, step: int, action: Callable[[], None]) -> None:
        """Do something once, before `step`."""
        self.before.append(lambda now: action() if now == step else None)

    def batch(self, step: int) -> Tensor:
        """The pixels of a step, (B, C, T, H, W) in [-1, 1], after the data hooks."""
        x = from_uint8(self.train[self.order(step)])
        for change in self.data:
            x = change(x, step)
        return x

    def run(self, validates: str = "") -> Result:
        """Train to the last step. validates: the dialect whose validation is measured each epoch; "" for none."""
        try:
            return self._run(validates)
        finally:
            for action in self.undo:
                action()

    def _run(self, validates: str) -> Result:
        config, rows, validations = self.config, list[Row](), list[tuple[int, Row]]()
        accumulate = config.optim.accumulate
        for step in range(config.run.steps):
            self.now = step
            for action in self.before:
                action(step)
            batches = [self.batch(step * accumulate + part) for part in range(accumulate)]
            measured = self.step(batches, step)
            for action in self.after:
                action(step)
            every = 1 if validates == "tensorboard" else config.run.log_every
            logged = step % every in (0, every - 1)
            if self.system.measures_before_start and logged and "g_loss" not in measured:
                measured = self._before_start(batches[-1]) | measured
            row = {name: float(value) for name, value in measured.items()}
            row["lr"] = learning_rate(self.step.optim, step, config.run.steps) * self.lr_factor(step)
            if self.step.discriminator is not None:
                row["disc_factor"] = self.step.objective.disc_factor(step)
                if "disc_grad_norm" in row:
                    row["disc_lr"] = self.step.disc_lr(step)
            if self.loss_scale is not None:
                row["loss_scale"] = self.loss_scale
            if self.stops_at_nan and row["total_loss"] - row["total_loss"] != 0:
                self.events.append(("nan_stop", step, {}))
                break
            rows.append(row)
            if self.guarded and self._gives_up(step, row):
                break
            if validates and (step + 1) % EPOCH == 0:
                validations.append((step, self._validate(validates)))
        shapes = derived(config, self.step.autoencoder, EPOCH, config.run.batch_size * accumulate)
        weights = {name: value.detach().clone() for name, value in self.autoencoder.state_dict().items()}
        return Result(config, self.system, rows, validations, self.events, self._numbers(), shapes, weights)

    def _gives_up(self, step: int, row: Row) -> bool:
        """vaelab's trainer names each skipped update and stops after max_non_finite of them in a row."""
        if row["finite"] * row.get("disc_finite", 1.0) == 1:
            self.skipped = 0
            return False
        self.skipped += 1
        self.events.append(("non_finite", step, {"at": step, "batch": [], "in_a_row": self.skipped}))
        if self.skipped < self.config.optim.max_non_finite:
            return False
        text = f"{self.skipped} steps in a row had gradients that are not finite, the last one at step {step}."
        self.events.append(("stopped", step, {"text": text}))
        return True

    def _shuffled(self, step: int) -> Tensor:
        """Indices of a batch: every epoch has an order of its own."""
        size = self.config.run.batch_size
        per_epoch = len(self.train) // size
        epoch, place = divmod(step, per_epoch)
        order = torch.randperm(len(self.train), generator=torch.Generator().manual_seed(1000 * self.seed + epoch))
        return order[place * size : (place + 1) * size]

    def _before_start(self, x: Tensor) -> dict[str, Tensor]:
        """What latent-diffusion's loss computes, and logs, before disc_start: nothing of it is trained."""
        discriminator, loss = self.step.discriminator, self.step.loss
        if discriminator is None:
            return {}
        out = self.step.autoencoder(x).x
        nll = self.step.objective.reconstruction(x, out).nll
        fake = discriminator(out)
        g_loss = gen_loss(loss.disc_loss, fake)
        last = self.step.autoencoder.last_layer
        gradients = [torch.autograd.grad(term, last, retain_graph=True)[0] for term in (nll, g_loss)]
        ratio, _ = d_weight_ratio(*gradients, loss.d_weight_max)
        with torch.no_grad():
            real = discriminator(x)
        values = {
            "d_weight": ratio * loss.disc_weight, "g_loss": g_loss, "disc_loss": torch.zeros(()),
            "logits_real": real.mean(), "logits_fake": fake.mean(),
        }  # fmt: skip
        return {name: value.detach() for name, value in values.items()}

    def _validate(self, dialect: str) -> Row:
        if dialect in ("vaelab", "tensorboard"):
            batches = [Batch(part, [""] * len(part), 0) for part in self.held_out.split(8)]
            networks = {"val": self.step.autoencoder, "val_ema": self.step.ema.network if self.step.ema else None}
            scores: Row = {}
            for prefix, network in networks.items():
                if network is not None:
                    found = validate(network, batches, self.step.objective.perceptual, torch.device("cpu"))
                    scores |= {f"{prefix}/{name}": value for name, value in found.items() if name != "n"}
            return {name: value for name, value in scores.items() if value == value or name.endswith("psnr")}
        return self._terms(from_uint8(self.held_out))

    @torch.no_grad()
    def _terms(self, x: Tensor) -> Row:
        """The terms of the objective on held-out data, by the names of the training's."""
        step = self.step
        out = step.autoencoder(x)
        terms = step.objective.reconstruction(x, out.x)
        kl = step.objective.kl(out.mean, out.logvar)
        row = {"rec_loss": terms.rec, "perceptual_loss": terms.perceptual, "nll_loss": terms.nll, "kl_loss": kl}
        factor = step.objective.disc_factor(self.now)
        total = terms.nll + step.objective.kl_weight(self.now) * kl
        if step.discriminator is not None:
            real, fake = step.discriminator(x), step.discriminator(out.x)
            g_loss = gen_loss(step.loss.disc_loss, fake)
            # no gradient in evaluation: latent-diffusion's adaptive weight is 0 there
            row |= {
                "g_loss": g_loss,
                "d_weight": torch.zeros(()),
                "logits_real": real.mean(),
                "logits_fake": fake.mean(),
            }
            row["disc_loss"] = disc_loss(step.loss.disc_loss, real, fake) * factor
        row |= {"total_loss": total, "disc_factor": torch.tensor(factor)}
        if step.logvar:
            row["logvar"] = step.logvar[0]
        return {name: float(value) for name, value in row.items()}

    @torch.no_grad()
    def _numbers(self) -> Row:
        x, step = from_uint8(self.held_out), self.step
        for network in (step.autoencoder, step.discriminator):
            if network is not None:
                network.eval()
        mean, sampled = step.autoencoder(x, sample=False), step.autoencoder(x)
        numbers = {
            "mse": (mean.x - x).square().mean(), "mse_sampled": (sampled.x - x).square().mean(),
            "variance": (x - x.mean((2, 3, 4), keepdim=True)).square().mean(), "output_std": mean.x.std(),
            "noise_response": (mean.x - mean.x.flip(0)).square().mean(),
        }  # fmt: skip
        seen = from_uint8(self.train[torch.cat([self.order(self.now - back) for back in range(4)])])
        numbers["generalisation_gap"] = numbers["mse"] / (step.autoencoder(seen, sample=False).x - seen).square().mean()
        if self.step.objective.perceptual is not None:
            numbers["lpips"] = self.step.objective.perceptual(x, mean.x).mean()
        if mean.mean is not None and mean.logvar is not None:
            per_channel = mean.mean.transpose(0, 1).flatten(1)
            numbers |= {
                "active_channels": (per_channel.var(1) > 0.01).float().sum(),
                "kl": 0.5 * (mean.mean.square() + mean.logvar.exp() - 1 - mean.logvar).mean(),
                "logvar_min": mean.logvar.amin(),
                "latent_peak": mean.mean.abs().amax() / (mean.mean.std() + 1e-9),
            }
        if step.ema is not None:
            numbers["mse_ema"] = (step.ema.network(x, sample=False).x - x).square().mean()
        if step.discriminator is not None:
            seen = from_uint8(self.train[: len(x)])
            for name, data, out in (("val", x, mean.x), ("train", seen, step.autoencoder(seen, sample=False).x)):
                numbers[f"disc_gap_{name}"] = step.discriminator(data).mean() - step.discriminator(out).mean()
        return {name: float(value) for name, value in numbers.items()}


def samples(system: System, seed: int, config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Training and held-out pixels uint8 (N, C, T, H, W), made once and kept in the cache."""
    size = config.run.batch_size if config.run.batch_size > 1 else 2
    count = EPOCH * size
    path = CACHE / f"{system.name}-{seed}-{count}.pt"
    if not path.exists():
        data = config.data.model_copy(update={"workers": 0, "length": count})
        source = open_data(data, seed)
        with train_batches(source.train, data, count, seed) as batches:
            train = next(batches).pixels
        held_out = torch.cat([batch.pixels for batch in val_batches(source.val, data, HELD_OUT, HELD_OUT)])
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        torch.save((train, held_out), part)
        part.replace(path)
    train, held_out = torch.load(path)
    return train, held_out


def _without_guard(updater: Updater) -> Callable[[float], Applied]:
    """Updates are made whatever the gradient is, as in trainers that have no guard: NaN then fills the weights."""

    def apply(lr: float) -> Applied:
        for group in updater.optimizer.param_groups:
            group["lr"] = lr
        gradients = [p.grad for p in updater.parameters if p.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        coefficient = torch.ones_like(norm)
        if updater.clip is not None:
            coefficient = (updater.clip / (norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, coefficient)
        updater.optimizer.step()
        updater.optimizer.zero_grad(set_to_none=True)
        return Applied(norm.detach(), coefficient.detach(), torch.ones(()))

    return apply


def _step(config: TrainConfig) -> TrainingStep:
    """vaelab's training step on the small networks."""
    channels, latent_channels = config.data.channels, config.model.config["latent_channels"]
    autoencoder = Autoencoder(SmallAutoencoder(channels, latent_channels, config.data.frames > 1), channels)
    discriminator = build_discriminator(config.loss, channels) if config.uses_gan else None
    perceptual: Any = RandomFeatures(channels) if config.loss.perceptual_weight > 0 else None
    objective = Objective(config.loss, perceptual)
    return TrainingStep(autoencoder, discriminator, objective, config.loss, config.optim, config.run.steps, Ranks())

"""Two dozen steps of the trainer that must show that everything which trains does train: a gate for CI.

Each check measures on the real objects after a real run: the rows that it logged, its networks, its optimizers and its
checkpoint. What it guards against was found in public trainers (docs/faults.md): a perceptual loss without gradient, clipping
after the step, discriminators that differ between GPUs, an EMA that nothing moves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from vaelab.config import TrainConfig
from vaelab.data import train_batches, val_batches
from vaelab.errors import TrainError, VaelabError
from vaelab.evaluation.pictures import from_uint8
from vaelab.losses import disc_loss
from vaelab.training.build import build_step
from vaelab.training.checkpoint import Checkpoints
from vaelab.training.distributed import Ranks, checksum
from vaelab.training.run_log import METRICS
from vaelab.training.screen import Silent
from vaelab.training.smoke_identities import largest_difference
from vaelab.training.step import TrainingStep
from vaelab.training.trainer import Trainer

Report = Callable[[str, int, int], None]

TOLERANCE = 1e-4  # of the identities, relative
DISC_STEPS = 24
DISC_RATE = 1e-3  # at least, for these steps: a recipe's own rate may be meant for 100,000 of them
BLUR = 5  # pixels
ABOVE_CHANCE = 0.65  # share of pairs ranked right; chance is 0.5
LOSS_FALLS = 0.95  # the discriminator's held-out loss must fall below this times what it was


@dataclass(frozen=True)
class Check:
    """passed: None where the settings do not ask for what it checks. text: what was measured, for a person. values: the same
    numbers by name, for programs."""

    name: str
    passed: bool | None
    text: str
    values: dict[str, float] = field(default_factory=dict)


class _Steps(Silent):
    """The trainer's screen: only the number of its steps is of interest."""

    def __init__(self, report: Report, total: int) -> None:
        self.report, self.total = report, total

    def row(self, step: int, phase: str, values: Mapping[str, float]) -> None:
        self.report("training", step + 1, self.total)


def smoke(config: TrainConfig, folder: Path, ranks: Ranks, report: Report = lambda *_: None) -> list[Check]:
    """Run ``config`` (from ``short_settings``) to its end in ``folder``, and check it. All ranks call it; rank 0's list counts.

    report: called with what is being done, how much of it is, and the whole. Raises VaelabError where the run cannot start, and KeyboardInterrupt if it was interrupted.
    """
    trainer = Trainer(config, folder, ranks, _Steps(report, config.run.steps))
    step = trainer.step
    averaged = None if step.ema is None else checksum(step.ema.network)
    outcome = trainer.run()
    if outcome.reason == "interrupted":
        raise KeyboardInterrupt
    rows = _rows(folder) if ranks.is_main else []
    x = from_uint8(_batch(trainer).to(ranks.device))
    in_order: list[Callable[[], Check]] = [
        lambda: _all_steps(trainer, outcome.reason),
        lambda: _identities(rows, config) if ranks.is_main else Check("identities", None, ""),
        lambda: _ema(step, averaged),
        lambda: _checkpoint(trainer),
        lambda: _perceptual(step, x),
        lambda: _clipping(step, x, config),
        lambda: _discriminator(trainer),
        lambda: _ranks(step, ranks),  # the last one: after every update
    ]
    checks = []
    for number, check in enumerate(in_order):
        report("checking", number, len(in_order))
        checks.append(check())
    return checks


def _rows(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()]


def _batch(trainer: Trainer) -> torch.Tensor:
    config = trainer.config
    with train_batches(
        trainer.data.train,
        config.data,
        config.run.batch_size,
        config.run.seed,
        rank=trainer.ranks.rank,
        world=trainer.ranks.world,
    ) as batches:
        return next(batches).pixels


def _all_steps(trainer: Trainer, reason: str) -> Check:
    config, done, skipped = trainer.config, trainer.counters.done, trainer.counters.skipped
    text = f"{done} of {config.run.steps} updates, {skipped} of them skipped because a gradient was not finite"
    text += _torchs_fault(trainer) if skipped else ""
    passed = done == config.run.steps and skipped == 0
    text = text if reason == "finished" else f"{text}; the run ended early ({reason})"
    return Check("steps", passed, text, {"steps": done, "skipped": skipped})


def _identities(rows: list[dict[str, float]], config: TrainConfig) -> Check:
    """The logged terms add up to the logged sums."""
    worst, where = largest_difference(rows, config)
    closes = bool(rows) and worst <= TOLERANCE
    text = f"largest difference {worst:.1e} (allowed {TOLERANCE:g}) over {len(rows)} rows"
    values = {"largest_difference": worst, "rows": len(rows)}
    return Check("identities", closes, text if closes else f"{text}: {where}", values)


def _perceptual(step: TrainingStep, x: torch.Tensor) -> Check:
    """The difference that the perceptual weight makes to the gradient of nll at the reconstruction and in the decoder."""
    name, objective, loss = "perceptual-gradient", step.objective, step.loss
    if loss.perceptual_weight == 0:
        return Check(name, None, "loss.perceptual_weight is 0: there is no perceptual loss")
    out = step.autoencoder(x, sample=False)
    gradients = []
    try:
        for weight in (loss.perceptual_weight, 0.0):
            objective.config = loss.model_copy(update={"perceptual_weight": weight, "perceptual_frames": None})
            r = out.x.detach().float().requires_grad_()
            nll = objective.reconstruction(x, r).nll
            # without a pixel loss nothing depends on r once the perceptual weight is 0
            (gradient,) = torch.autograd.grad(nll, r, allow_unused=True) if nll.requires_grad else (None,)
            gradients.append(torch.zeros_like(r) if gradient is None else gradient)
    finally:
        objective.config = loss
    of_term = gradients[0] - gradients[1]
    share = float(of_term.norm() / gradients[0].norm().clamp(min=1e-30))
    (in_decoder,) = torch.autograd.grad(out.x, step.autoencoder.last_layer, of_term.to(out.x.dtype))
    norm = float(in_decoder.norm())
    text = f"{share:.1%} of the gradient of nll at the reconstruction; norm {norm:.3g} at the decoder's last layer"
    passed = isfinite(norm) and share > 1e-6 and norm > 0
    return Check(name, passed, text, {"share_of_gradient": share, "norm_at_last_layer": norm})


def _discriminator(trainer: Trainer) -> Check:
    """The discriminator's own pass and update, on pictures against blurred reconstructions; judged on held-out ones."""
    name, step, config = "discriminator-learns", trainer.step, trainer.config
    if step.discriminator is None or step.disc_update is None:
        return Check(name, None, "loss.disc is none: there is no discriminator")
    run, ranks = config.run, trainer.ranks
    held_out = next(val_batches(trainer.data.val, config.data, config.data.val_samples, config.data.val_samples))
    real = from_uint8(held_out.pixels.to(ranks.device))
    fake = _blurred(step, real)
    before = _judged(step, real, fake)
    rate = max(DISC_RATE, step.disc_lr(run.steps - 1))
    finite: list[bool] = []
    with train_batches(
        trainer.data.train, config.data, run.batch_size, run.seed + 1, rank=ranks.rank, world=ranks.world
    ) as batches:
        for _ in range(DISC_STEPS):
            x = from_uint8(next(batches).pixels.to(ranks.device))
            step._discriminator_pass(x, _blurred(step, x), 1.0)
            finite.append(bool(step.disc_update.apply(rate).finite))
    after = _judged(step, real, fake)
    text = (
        f"after {DISC_STEPS} steps at a rate of {rate:g} it ranks {after[0]:.0%} of held-out pairs of a picture and a blurred"
        f" reconstruction right (before {before[0]:.0%}, chance 50%); its loss there {before[1]:.3f} -> {after[1]:.3f}"
    )
    skipped = finite.count(False)
    values = {"accuracy": after[0], "accuracy_before": before[0], "loss": after[1], "loss_before": before[1]}
    values["skipped"] = skipped
    if skipped:
        text = f"{skipped} of {DISC_STEPS} of its gradients hold NaN or infinity{_torchs_fault(trainer)}; {text}"
        return Check(name, False, text, values)
    return Check(name, after[0] >= ABOVE_CHANCE and after[1] < LOSS_FALLS * before[1], text, values)


def _torchs_fault(trainer: Trainer) -> str:
    """What is known to make NaN out of sound numbers, where these settings meet it; else empty."""
    network, precision = trainer.step.discriminator, trainer.config.optim.precision
    has_3d = network is not None and any(isinstance(layer, torch.nn.Conv3d) for layer in network.modules())
    if trainer.ranks.device.type != "cpu" or precision == "fp32" or not has_3d:
        return ""
    return (
        f" (on a CPU torch's Conv3d does so in {precision} now and then where it has few channels: set optim.precision=fp32,"
        " or loss.disc=patch2d)"
    )


@torch.no_grad()
def _blurred(step: TrainingStep, x: torch.Tensor) -> torch.Tensor:
    r = step.autoencoder(x, sample=False).x.float()
    frames = r.transpose(1, 2).flatten(0, 1)
    soft = functional.avg_pool2d(frames, BLUR, stride=1, padding=BLUR // 2, count_include_pad=False)
    return soft.unflatten(0, (r.shape[0], r.shape[2])).transpose(1, 2).contiguous()


@torch.no_grad()
def _judged(step: TrainingStep, real: torch.Tensor, fake: torch.Tensor) -> tuple[float, float]:
    """Share of (real, fake) pairs of logits in the right order, ties counting half; and the discriminator's loss."""
    assert step.discriminator is not None
    of_real, of_fake = (step.discriminator(x).float() for x in (real, fake))
    a, b = of_real.flatten()[:2000, None], of_fake.flatten()[None, :2000]
    right = (a > b).double().mean() + 0.5 * (a == b).double().mean()
    return float(right), float(disc_loss(step.loss.disc_loss, of_real, of_fake))


def _clipping(step: TrainingStep, x: torch.Tensor, config: TrainConfig) -> Check:
    """With a limit far below the norm that was measured, the optimizer must find gradients of the limit's norm."""
    name = "clip-before-step"
    updates = [("autoencoder", "", step.generator_update, config.optim.clip_grad)]
    if step.disc_update is not None:
        updates.append(("discriminator", "disc_", step.disc_update, config.optim.disc_clip_grad))
    asked = [(who, prefix, update) for who, prefix, update, clip in updates if clip is not None]
    if not asked:
        return Check(name, None, "optim.clip_grad is null: nothing is clipped")
    last = config.run.steps - 1
    norms = step([x], last)
    seen: dict[str, float] = {}
    hooks, before = [], [(update, update.clip) for *_, update in asked]
    limits = {who: 0.1 * float(norms[f"{prefix}grad_norm"]) for who, prefix, _ in asked}
    for who, _, update in asked:
        update.clip = limits[who]
        hooks.append(update.optimizer.register_step_pre_hook(_look(seen, who, update.parameters)))
    step([x], last)
    for hook in hooks:
        hook.remove()
    for update, clip in before:
        update.clip = clip
    wrong = [who for who in limits if not seen.get(who, float("inf")) <= 1.001 * limits[who] or limits[who] == 0]
    text = "; ".join(
        f"{who}: limit {limits[who]:.3g}, the optimizer saw {seen.get(who, float('nan')):.3g}" for who in limits
    )
    values = {f"{who}_limit": limit for who, limit in limits.items()} | {
        f"{who}_seen": norm for who, norm in seen.items()
    }
    return Check(name, not wrong, text, values)


def _look(seen: dict[str, float], who: str, parameters: list[torch.nn.Parameter]) -> Callable[..., None]:
    def look(*_: Any) -> None:
        seen[who] = float(torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None]))

    return look


def _ema(step: TrainingStep, first: torch.Tensor | None) -> Check:
    if step.ema is None or first is None:
        return Check("ema-moves", None, "optim.ema_decay is null: there is no EMA")
    averages, weights = list(step.ema.network.parameters()), list(step.autoencoder.parameters())
    gap = float(sum((a - w.detach()).double().square().sum() for a, w in zip(averages, weights, strict=True)) ** 0.5)
    moved = not torch.equal(checksum(step.ema.network), first)
    text = (
        f"{'moved from' if moved else 'still at'} its first weights; at a distance of {gap:.3g} from the trained ones"
    )
    passed = moved and gap > 0 and step.ema.updates > 0
    return Check(
        "ema-moves", passed, f"{step.ema.updates} updates: {text}", {"distance": gap, "updates": step.ema.updates}
    )


def _checkpoint(trainer: Trainer) -> Check:
    """A second step with other weights, restored from the run's last checkpoint, equals the first in all its state."""
    name, ranks, config = "checkpoint", trainer.ranks, trainer.config
    path = Checkpoints(trainer.folder, config.run.keep_checkpoints, ranks).latest()
    if path is None:
        return Check(name, False, "no checkpoint was written")
    with torch.random.fork_rng(devices=[ranks.device] if ranks.device.type == "cuda" else []):
        torch.manual_seed(config.run.seed + 1000)
        other = build_step(config, trainer.perceptual, ranks)
        try:
            Checkpoints(trainer.folder, config.run.keep_checkpoints, ranks).restore(other, path)
        except VaelabError as error:
            return Check(name, False, str(error))
    different = _differences(trainer.step, other)
    count = sum(p.numel() for _, network in other.networks() for p in network.parameters())
    if different:
        return Check(name, False, f"differs after loading: {', '.join(different[:4])}")
    text = f"{path.name}: {count:,} weights, EMA, optimizers and counters are equal after loading"
    return Check(name, True, text, {"weights": count})


def _differences(a: TrainingStep, b: TrainingStep) -> list[str]:
    pairs: list[tuple[str, Any, Any]] = [
        (name, network.state_dict(), other.state_dict())
        for (name, network), (_, other) in zip(a.networks(), b.networks(), strict=True)
    ]
    if a.ema is not None and b.ema is not None:
        pairs.append(("EMA", a.ema.network.state_dict(), b.ema.network.state_dict()))
    pairs.append(("optimizers", a.state_dict(), b.state_dict()))
    return [name for name, left, right in pairs if not _same(left, right)]


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a.cpu(), b.cpu())
    if isinstance(a, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(_same(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _ranks(step: TrainingStep, ranks: Ranks) -> Check:
    name = "ranks-equal"
    if ranks.world == 1:
        return Check(name, None, "one process; --ranks 2 starts two")
    try:
        ranks.check_equal(step.networks())
    except TrainError as error:
        return Check(name, False, str(error).split(". ")[0])
    text = f"all weights have equal checksums on {ranks.world} processes after all updates"
    return Check(name, True, text, {"processes": ranks.world})

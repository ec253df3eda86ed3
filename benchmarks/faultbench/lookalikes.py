"""Healthy ways to train that look alarming, or ugly: none of them may be acted on."""

from __future__ import annotations

import torch
from mechanism import KL_SYSTEMS, Mechanism, Turn, between, exactly, linear, times
from torch import Tensor


def _buckets(x: Tensor, step: int, s: float) -> Tensor:
    """Every third batch is of another kind, of less contrast: two levels of every loss, all the run."""
    return x * between(0.8, 0.3)(s) if step % 3 == 0 else x


def _resolutions(x: Tensor, step: int, s: float) -> Tensor:
    """Some batches come from smaller pictures."""
    if (step * 7) % 10 >= 1 + 6 * s:
        return x
    return torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(x, 2), scale_factor=2)


def _curriculum(x: Tensor, step: int, s: float) -> Tensor:
    """Pictures begin with little contrast and gain it over 300 steps: the loss rises."""
    return x * min(1.0, between(0.8, 0.2)(s) + step / 300)


class _WarmRestarts(Turn):
    """The rate falls to a tenth along a cosine and is set back, three to six times."""

    def apply(self, plan, first: int, last: int, severity: float) -> None:
        values = plan.dials["lr"]
        period = max(10, len(values) // (3 + round(3 * severity)))
        phase = (torch.arange(len(values)) % period) / period
        values *= 0.1 + 0.45 * (1 + torch.cos(torch.pi * phase))


def _start(share: float):
    return lambda s, steps: {"loss.disc_start": int(share * steps)}


LOOKALIKES = [
    Mechanism("constant-rate", "constant rate to the end", when="start", settings=lambda s, n: {"optim.schedule": "constant"}),
    Mechanism("cosine-to-zero", "cosine to 0: the last part is flat", when="start", settings=lambda s, n: {"optim.schedule": "cosine", "optim.min_lr": 0.0}),
    Mechanism("linear-to-zero", "linear decay to 0", when="start", settings=lambda s, n: {"optim.schedule": "linear", "optim.min_lr": 0.0}),
    Mechanism("long-warmup", "warm-up over a large part of the run", when="start", settings=lambda s, n: {"optim.warmup_steps": int(n * linear(0.1, 0.4)(s))}),
    Mechanism("finetune", "a trained model at a low rate: everything is flat", when="start", pretrained=True, turns=(times("lr", 0.3, 0.03),)),
    Mechanism("finetune-slow-start", "a trained model, the rate starts at 0 and grows for a long time", when="start", pretrained=True,
              settings=lambda s, n: {"optim.warmup_steps": n // 2, "optim.lr": ("times", 0.3)}),
    Mechanism("gan-shock", "a GAN start with a shock that recovers", when="gan", settings=lambda s, n: {"loss.disc_start": n // 4, "loss.disc_weight": ("times", between(1.5, 4)(s)), "optim.disc_lr": ("times", 2.0)}),
    Mechanism("gan-shock-hard", "a discriminator that was trained before begins to act at full weight", when="gan",
              settings=lambda s, n: {"loss.disc_warmup": n // 5, "loss.disc_start": n // 3, "loss.disc_weight": ("times", between(1.5, 5)(s))}),
    Mechanism("gan-from-start", "the GAN acts from the first step", when="start", settings=_start(0.0)),
    Mechanism("gan-late", "a late GAN start", when="start", settings=_start(0.8)),
    Mechanism("no-gan", "no discriminator at all", when="start", systems=("video", "pyramid", "vq"), dialects=("vaelab", "tensorboard", "pyramid_flow", "plain"), settings=lambda s, n: {"loss.disc": "none"}),
    Mechanism("disc-ramp", "the discriminator alone before, a ramp after", when="start", systems=("video", "pyramid"), settings=lambda s, n: {"loss.disc_warmup": n // 8, "loss.disc_ramp": n // 6}),
    Mechanism("negative-total", "a discriminator that calls everything real: total_loss is far below 0 for a while", when="gan",
              settings=lambda s, n: {"loss.disc_weight_mode": "fixed", "loss.disc_weight": between(0.5, 3)(s)}, turns=(Turn("logit_shift", "add", between(2, 30)),)),
    Mechanism("learned-logvar", "nll is negative with a learned logvar", when="start", systems=("video", "rgb"), dialects=("vaelab", "lightning", "tensorboard"),
              settings=lambda s, n: {"loss.logvar": "learned", "loss.logvar_init": -linear(0, 2)(s)}),
    Mechanism("kl-rises", "KL rises all the run at a tiny weight", when="start", systems=KL_SYSTEMS, settings=lambda s, n: {"loss.kl_weight": 1e-9}),
    Mechanism("kl-annealed", "the KL weight grows over most of the run: total rises", when="start", systems=("video", "rgb"), dialects=("vaelab", "lightning", "tensorboard"),
              settings=lambda s, n: {"loss.kl_warmup": int(0.6 * n), "loss.kl_weight": ("times", between(3, 60)(s))}),
    Mechanism("resume-done-right", "a resume with everything restored", resume=True),
    Mechanism("resumes-often", "a run that is interrupted now and then, everything restored", resume=True),
    Mechanism("warm-restarts", "warm restarts of the rate", when="start", turns=(_WarmRestarts("lr", "set", exactly(0)),)),
    Mechanism("buckets", "batches of two kinds in turn", when="start", data=_buckets),
    Mechanism("mixed-resolutions", "some batches come from smaller pictures", when="start", data=_resolutions),
    Mechanism("curriculum", "data that grow harder", when="start", data=_curriculum),
    Mechanism("gradient-noise-small", "a noisy gradient", when="start", turns=(Turn("gradient_noise", "set", linear(0.1, 0.6)),)),
    Mechanism("no-clip", "no clipping", when="start", settings=lambda s, n: {"optim.clip_grad": None}),
    Mechanism("tight-clip", "clipping on most steps, as some recipes have it", when="start", settings=lambda s, n: {"optim.clip_grad": between(1.0, 0.05)(s)}),
    Mechanism("weak-gan", "a small GAN weight", when="start", settings=lambda s, n: {"loss.disc_weight": ("times", between(0.5, 0.1)(s))}),
    Mechanism("tuned-rate", "another good rate", when="start", settings=lambda s, n: {"optim.lr": ("times", between(0.5, 2)(s))}),
    Mechanism("augmented", "pictures are flipped and shifted in brightness", when="start", data=lambda x, t, s: (x.flip(3) if t % 2 else x) + 0.1 * s * ((t % 7) - 3) / 3),
]  # fmt: skip

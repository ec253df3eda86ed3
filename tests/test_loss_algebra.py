"""The objective against the formulas of public trainers, derived again here with plain loops in float64.

Sources: Pyramid-Flow ``video_vae/modeling_loss.py`` and ``modeling_enc_dec.py``, latent-diffusion
``ldm/modules/losses/contperceptual.py``, RadioDiff ``denoising_diffusion_pytorch/loss.py``, VidTok
``vidtok/modules/losses.py`` and ``regularizers.py``, Open-Sora ``opensora/models/vae/losses.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaelab.config.schema import LossConfig
from vaelab.losses import Objective, disc_loss, gen_loss

torch.set_num_threads(1)


class FrameDistance(torch.nn.Module):
    """Stands in for LPIPS: a distance of each frame that a test can compute by hand."""

    def forward(self, x: torch.Tensor, r: torch.Tensor) -> torch.Tensor:
        return (x - r).abs().amax(dim=(1, 3, 4)).flatten()


class Case:
    """One batch with its posterior and logits, as float64 arrays for the loops and as tensors for the code."""

    def __init__(self, frames: int, seed: int = 0, channels: int = 3) -> None:
        g = torch.Generator().manual_seed(seed)
        self.x = torch.rand(2, channels, frames, 6, 4, generator=g) * 2 - 1
        self.r = (self.x + 0.3 * torch.randn(self.x.shape, generator=g)).clamp(-1, 1)
        latent = (2, 4, (frames + 3) // 4, 3, 2)
        self.mean, self.logvar = torch.randn(latent, generator=g), torch.randn(latent, generator=g) - 2
        self.real, self.fake = torch.randn(2, 1, 5, 5, generator=g), torch.randn(2, 1, 5, 5, generator=g)

    def pixels(self, value: Callable[[float, float], float]) -> np.ndarray:
        x, r = self.x.double().numpy(), self.r.double().numpy()
        return np.array([value(a, b) for a, b in zip(x.ravel(), r.ravel(), strict=True)]).reshape(x.shape)

    def distances(self) -> np.ndarray:
        """p of each clip and frame, (B, T)."""
        x, r = self.x.double().numpy(), self.r.double().numpy()
        return np.array([[np.abs(x[b, :, t] - r[b, :, t]).max() for t in range(x.shape[2])] for b in range(len(x))])

    def kl(self) -> np.ndarray:
        """KL of every latent element in nats, by the textbook formula."""
        m, v = self.mean.double().numpy(), np.exp(self.logvar.double().numpy())
        return 0.5 * (m**2 + v - 1 - np.log(v))


def each(array: np.ndarray) -> Iterator[np.ndarray]:
    yield from array


def close(ours: torch.Tensor, theirs: float) -> None:
    assert ours.dtype == torch.float32 and ours.shape == ()
    assert ours.item() == pytest.approx(theirs, rel=2e-6, abs=1e-7)


@pytest.mark.parametrize("frames", [1, 5])
def test_pyramid_flow(frames: int) -> None:
    case = Case(frames)
    config = LossConfig(
        pixel_loss="mse",
        nll_reduction="mean",
        pixelloss_weight=10.0,
        perceptual_weight=1.0,
        kl_reduction="channel_mean",
        kl_weight=1e-2,
        disc_start=0,
    )
    objective = Objective(config, FrameDistance())
    # it folds frames into the batch, takes the mean of each frame's squared error, and then the mean over frames
    squared, p = case.pixels(lambda a, b: (a - b) ** 2), case.distances()
    frame_losses = [10.0 * squared[b, :, t].mean() + 1.0 * p[b, t] for b in range(2) for t in range(frames)]
    nll = sum(frame_losses) / len(frame_losses)
    # kl() sums over dims [2, 3, 4] of (B, C, T, H, W); the loss then takes .mean()
    kl = np.mean([[channel.sum() for channel in each(sample)] for sample in each(case.kl())])
    g_loss = -case.fake.double().numpy().mean()

    terms = objective.reconstruction(case.x, case.r)
    close(terms.nll, nll)
    close(terms.rec, squared.mean())
    close(terms.rec_mse, squared.mean())
    close(terms.perceptual, p.mean())
    ours_kl = objective.kl(case.mean, case.logvar)
    close(ours_kl, kl)
    g = gen_loss("hinge", case.fake)
    close(objective.total(7, terms.nll, ours_kl, g, 0.25), nll + 1e-2 * kl + 0.25 * g_loss)
    real, fake = case.real.double().numpy().ravel(), case.fake.double().numpy().ravel()
    hinge = 0.5 * (sum(max(0, 1 - v) for v in real) / real.size + sum(max(0, 1 + v) for v in fake) / fake.size)
    close(disc_loss("hinge", case.real, case.fake), hinge)


def test_latent_diffusion() -> None:
    case = Case(frames=1, seed=1)
    config = LossConfig(pixel_loss="l1", nll_reduction="sum", perceptual_weight=0.7, kl_reduction="sum", kl_weight=1e-6)
    objective = Objective(config, FrameDistance())
    absolute, p = case.pixels(lambda a, b: abs(a - b)), case.distances()
    n = 3 * 6 * 4
    # rec_loss = |x - r| + w * p with p broadcast over the picture; torch.sum(nll) / B
    rec = np.stack([absolute[b] + 0.7 * p[b, 0] for b in range(2)])
    nll = rec.sum() / 2
    kl = sum(sample.sum() for sample in each(case.kl())) / 2

    terms = objective.reconstruction(case.x, case.r)
    close(terms.nll, nll)
    close(terms.nll, n * rec.mean())  # the identity of its log
    close(terms.rec + 0.7 * terms.perceptual, rec.mean())  # its column train/rec_loss
    ours_kl = objective.kl(case.mean, case.logvar)
    close(ours_kl, kl)
    close(objective.total(0, terms.nll, ours_kl), nll + 1e-6 * kl)


def test_radiodiff() -> None:
    case = Case(frames=1, seed=2, channels=1)
    config = LossConfig(pixel_loss="l1+mse", nll_reduction="sum", perceptual_weight=1.0, kl_reduction="sum")
    objective = Objective(config, FrameDistance())
    both, p = case.pixels(lambda a, b: abs(a - b) + (a - b) ** 2), case.distances()
    nll = np.stack([both[b] + p[b, 0] for b in range(2)]).sum() / 2
    terms = objective.reconstruction(case.x, case.r)
    close(terms.nll, nll)
    close(terms.nll, 1 * 6 * 4 * (both.mean() + p.mean()))  # N = C * H * W of its log, 65,536 at 256x256x1
    close(terms.rec_mse, case.pixels(lambda a, b: (a - b) ** 2).mean())
    close(objective.kl(case.mean, case.logvar), case.kl().sum() / 2)


@pytest.mark.parametrize("logvar", [0.0, -1.3])
def test_vidtok(logvar: float) -> None:
    # Its generator loss with gen_loss_cross_entropy (softplus against a hinge discriminator) is not offered.
    case = Case(frames=5, seed=3)
    config = LossConfig(
        pixel_loss="l1",
        nll_reduction="sum_per_frame",
        perceptual_weight=1.0,
        kl_reduction="sum",
        logvar="learned",
        logvar_init=logvar,
    )
    objective = Objective(config, FrameDistance())
    absolute, p = case.pixels(lambda a, b: abs(a - b)), case.distances()
    nll = 0.0
    for b in range(2):
        for t in range(5):
            for value in absolute[b, :, t].ravel():
                nll += (value + p[b, t]) / math.exp(logvar) + logvar
    terms = objective.reconstruction(case.x, case.r)
    close(terms.nll, nll / (2 * 5))
    # the KL is a sum over the clip, not over a frame
    close(objective.kl(case.mean, case.logvar), case.kl().sum() / 2)
    close(disc_loss("vanilla", case.real, case.fake), _cross_entropy(case))


def _cross_entropy(case: Case) -> float:
    real, fake = case.real.double().numpy().ravel(), case.fake.double().numpy().ravel()
    on_real = sum(math.log1p(math.exp(-v)) for v in real) / real.size
    return 0.5 * (on_real + sum(math.log1p(math.exp(v)) for v in fake) / fake.size)


def test_open_sora_kl() -> None:
    case = Case(frames=9, seed=4)
    kl = case.kl()  # (B, C, T, H, W); its loss sums over C, H, W and takes the mean over B * T
    frames = [kl[b, :, t].sum() for b in range(2) for t in range(kl.shape[2])]
    objective = Objective(LossConfig(kl_reduction="sum_per_frame", perceptual_weight=0), None)
    close(objective.kl(case.mean, case.logvar), sum(frames) / len(frames))


@pytest.mark.parametrize("reduction", ["mean", "sum", "sum_per_frame"])
def test_learned_logvar_is_best_at_the_log_of_the_loss(reduction: str) -> None:
    case = Case(frames=5, seed=5)
    config = LossConfig(pixel_loss="l1", nll_reduction=reduction, logvar="learned")
    loss = case.pixels(lambda a, b: abs(a - b)).mean() + case.distances().mean()
    elements = {"mean": 1, "sum": 3 * 5 * 6 * 4, "sum_per_frame": 3 * 6 * 4}[reduction]
    objective = Objective(config.model_copy(update={"logvar_init": math.log(loss)}), FrameDistance())
    nll = objective.reconstruction(case.x, case.r).nll
    close(nll, elements * (1 + math.log(loss)))
    nll.backward()
    assert abs(float(objective.logvar.grad)) < 1e-5 * elements
    for other in (-0.5, 0.5):
        worse = Objective(config.model_copy(update={"logvar_init": math.log(loss) + other}), FrameDistance())
        assert worse.reconstruction(case.x, case.r).nll.item() > nll.item()


@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.integers(1, 5), st.integers(0, 100))
def test_reductions_are_multiples_of_the_mean(b: int, c: int, t: int, size: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(b, c, t, size, size + 1, generator=g) * 2 - 1
    r = torch.rand(x.shape, generator=g) * 2 - 1
    mean, logvar = torch.randn(x.shape, generator=g), torch.randn(x.shape, generator=g)

    def nll(reduction: str) -> float:
        config = LossConfig(nll_reduction=reduction, perceptual_weight=0.5)
        return Objective(config, FrameDistance()).reconstruction(x, r).nll.item()

    def kl(reduction: str) -> float:
        return float(Objective(LossConfig(kl_reduction=reduction, perceptual_weight=0), None).kl(mean, logvar))

    area = size * (size + 1)
    assert nll("sum") == pytest.approx(nll("mean") * c * t * area, rel=1e-6)
    assert nll("sum") == pytest.approx(nll("sum_per_frame") * t, rel=1e-6)
    assert kl("sum") == pytest.approx(kl("mean") * c * t * area, rel=1e-6)
    assert kl("sum") == pytest.approx(kl("channel_mean") * c, rel=1e-6)
    assert kl("sum") == pytest.approx(kl("sum_per_frame") * t, rel=1e-6)


@pytest.mark.parametrize(
    ("nll", "kl", "beta"),
    [
        # the table of docs/losses.md: kl_weight 1 of a trainer is beta of "nats a sample against a sum over all values"
        ("mean", "channel_mean", lambda n, c_lat, t, t_lat: n / c_lat),  # Pyramid-Flow
        ("sum", "sum", lambda n, c_lat, t, t_lat: 1),  # latent-diffusion, RadioDiff, generative-models, diffusers
        ("sum_per_frame", "sum", lambda n, c_lat, t, t_lat: t),  # VidTok, WF-VAE
        ("sum_per_frame", "sum_per_frame", lambda n, c_lat, t, t_lat: t / t_lat),  # Open-Sora
    ],
)
def test_conversion_of_kl_weights(nll: str, kl: str, beta: Callable[..., float]) -> None:
    case = Case(frames=9, seed=6)
    config = LossConfig(nll_reduction=nll, kl_reduction=kl, kl_weight=0.01)
    theirs = Objective(config, FrameDistance())
    n, t, c_lat, t_lat = case.x[0].numel(), 9, case.mean.shape[1], case.mean.shape[2]
    factor = beta(n, c_lat, t, t_lat)
    summed = Objective(
        config.model_copy(update={"nll_reduction": "sum", "kl_reduction": "sum", "kl_weight": 0.01 * factor}),
        FrameDistance(),
    )

    def gradient(objective: Objective) -> torch.Tensor:
        """Direction of the whole objective's gradient: at the reconstruction and at the posterior."""
        r, mean = case.r.clone().requires_grad_(), case.mean.clone().requires_grad_()
        terms = objective.reconstruction(case.x, r)
        objective.total(10, terms.nll, objective.kl(mean, case.logvar)).backward()
        both = torch.cat([r.grad.flatten(), mean.grad.flatten()])
        return both / both.norm()

    torch.testing.assert_close(gradient(theirs), gradient(summed), rtol=1e-5, atol=1e-7)

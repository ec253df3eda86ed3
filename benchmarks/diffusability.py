"""Does a small diffusion model agree with the numbers of `vaelab probe` on how easy a latent is?

    python benchmarks/diffusability.py [--seeds 0 1] [--vae-steps 600] [--steps 1000] [--save runs.jsonl]

Small VAEs of one latent shape (4x8x8, pictures of 32x32 pixels from moving-shapes) that differ in how smooth their latents are:

- plain: pixel loss and a small KL
- correlated: with local-correlation regularisation (loss.lcr_weight)
- equivariant: with scale equivariance (loss.equivariance_weight)
- turned: plain, each place of whose latent is turned by a random rotation of the channels of its own, which the decoding undoes. The same
  pictures from the same information, but neighbours have nothing in common: planted roughness.

On the standardised latents of each the same small network learns flow matching (velocity noise - z, t uniform). Its samples, integrated with
50 Euler steps and decoded, are judged by the Frechet distance to the same VAE's reconstructions of pictures that no training saw, in
features of stlpips-alex, which no training used (mean over places of the third depth). The lower, the easier the latent was. The rank correlation
(Spearman, over the VAEs of all seeds) between that distance and each number of the probe, taken as higher: harder, says whether they agree; 1 is full
agreement. The same is said of the velocity loss, the mean over the last quarter of the diffusion model's updates. Where the VAEs blur, pictures tell little, since all
samples blur alike: compare `frechet` with `frechet_of_reconstructions`, the distance of the reconstructions from the held-out pictures.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from vaelab.config import TrainConfig
from vaelab.data import open_data, val_batches
from vaelab.evaluation import pictures
from vaelab.evaluation.distances import frechet_distance
from vaelab.losses import build_perceptual
from vaelab.losses.features import ConvolutionFeatures
from vaelab.models import Autoencoder
from vaelab.probing.diffusability import Diffusability, diffusability
from vaelab.training.build import build_step
from vaelab.training.distributed import Ranks

Change = Callable[[Tensor], Tensor]

PICTURES, HELD_OUT, SAMPLES = 4096, 512, 512
BATCH, WIDTH, BLOCKS, EULER = 64, 32, 2, 50
DEPTH = 2  # of five in stlpips-alex
EASIER = {"sec": -1, "effective_rank": -1, "viv": -1, "local_correlation": 1}
"""Whether an easier latent has a higher (1) or a lower (-1) number, as docs/probing.md says."""

LOSSES: dict[str, dict[str, float | str]] = {
    "plain": {},
    "correlated": {"lcr_weight": 0.1},
    "equivariant": {"equivariance_weight": 0.5, "equivariance": "scale"},
}


def settings(loss: dict[str, float | str], seed: int, steps: int) -> TrainConfig:
    return TrainConfig.model_validate(
        {
            "model": {
                "type": "AutoencoderKL",
                "config": {
                    "down_block_types": ["DownEncoderBlock2D"] * 3,
                    "up_block_types": ["UpDecoderBlock2D"] * 3,
                    "block_out_channels": [16, 32, 32],
                    "layers_per_block": 1,
                    "latent_channels": 4,
                    "norm_num_groups": 8,
                    "mid_block_add_attention": False,
                },
            },
            "data": {
                "source": "moving-shapes",
                "frames": 1,
                "resolution": [32, 32],
                "length": PICTURES,
                "val_samples": HELD_OUT,
                "workers": 0,
            },
            "loss": {"perceptual_weight": 0.0, "kl_weight": 1e-4, "kl_reduction": "mean", "disc": "none", **loss},
            "optim": {"lr": 2e-3, "schedule": "cosine", "warmup_steps": steps // 30, "ema_decay": 0.98},
            "run": {"steps": steps, "seed": seed, "device": "cpu"},
        }
    )


def read_pictures(config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Pictures for training and held out, (N, 3, 1, 32, 32) in [-1, 1]."""
    data = open_data(config.data, config.run.seed)

    def take(source: object, count: int) -> Tensor:
        return torch.cat([pictures.from_uint8(b.pixels) for b in val_batches(source, config.data, BATCH, count)])  # type: ignore[arg-type]

    return take(data.train, PICTURES), take(data.val, HELD_OUT)


def train_vae(config: TrainConfig, x: Tensor) -> Autoencoder:
    """The averaged weights after ``run.steps`` batches of 16."""
    torch.manual_seed(config.run.seed)
    step = build_step(config, None, Ranks())
    for number in range(config.run.steps):
        step([x[torch.randint(len(x), (16,))]], number)
    assert step.ema is not None
    return step.ema.network.eval()


@dataclass(frozen=True)
class Space:
    """A latent as a diffusion model gets it: encode and decode by ``batches`` of pictures; latents (N, 4, 8, 8)."""

    vae: Autoencoder
    turns: Tensor | None

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        z = torch.cat([self.vae.encode(part)[0][:, :, 0] for part in x.split(BATCH)])
        return z if self.turns is None else torch.einsum("hwij,njhw->nihw", self.turns, z)

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        z = z if self.turns is None else torch.einsum("hwij,nihw->njhw", self.turns, z)
        return pictures.in_range(torch.cat([self.vae.decode(part[:, :, None]) for part in z.split(BATCH)]))


def random_turns(seed: int) -> Tensor:
    """An orthogonal matrix of the four channels for each place, (8, 8, 4, 4)."""
    return torch.linalg.qr(torch.randn(8, 8, 4, 4, generator=torch.Generator().manual_seed(seed)))[0]


class Block(nn.Module):
    """Residual block whose first norm is scaled and shifted by the time."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(8, WIDTH, affine=False), nn.GroupNorm(8, WIDTH)
        self.conv1, self.conv2 = nn.Conv2d(WIDTH, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.time = nn.Linear(WIDTH, 2 * WIDTH)

    def forward(self, h: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.time(time)[:, :, None, None].chunk(2, 1)
        y = self.conv1(F.silu(self.norm1(h) * (1 + scale) + shift))
        return h + self.conv2(F.silu(self.norm2(y)))


class Velocity(nn.Module):
    """Convolutions at 8x8, 4x4 and 8x8 again; it knows its place by a learned map, so that rotations of single places can be learned."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Conv2d(4, WIDTH, 3, padding=1), nn.Conv2d(WIDTH, 4, 3, padding=1)
        self.place = nn.Parameter(torch.zeros(1, WIDTH, 8, 8))
        self.time = nn.Sequential(nn.Linear(32, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH), nn.SiLU())
        self.fine, self.coarse, self.again = (nn.ModuleList(Block() for _ in range(BLOCKS)) for _ in range(3))

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] * torch.exp(torch.linspace(0, math.log(100), 16))
        time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        h = self.first(z) + self.place
        for block in self.fine:
            h = block(h, time)
        low = F.avg_pool2d(h, 2)
        for block in self.coarse:
            low = block(low, time)
        h = h + F.interpolate(low, scale_factor=2.0)
        for block in self.again:
            h = block(h, time)
        return self.last(F.silu(h))


def train_diffusion(z: Tensor, steps: int, seed: int) -> tuple[nn.Module, float]:
    """The averaged network, and its loss over the last quarter of the steps. z: standardised latents."""
    torch.manual_seed(seed)
    network = Velocity()
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses = []
    for number in range(steps):
        clean = z[torch.randint(len(z), (BATCH,))]
        noise, t = torch.randn_like(clean), torch.rand(len(clean))
        mixed = torch.lerp(clean, noise, t[:, None, None, None])
        loss = F.mse_loss(network(mixed, t), noise - clean)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        torch._foreach_lerp_(
            list(average.parameters()), [p.detach() for p in network.parameters()], min(0.5, 10 / (number + 1))
        )
        losses.append(loss.item())
    return average, statistics.fmean(losses[-steps // 4 :])


@torch.no_grad()
def draw_samples(network: nn.Module, seed: int) -> Tensor:
    z = torch.randn(SAMPLES, 4, 8, 8, generator=torch.Generator().manual_seed(seed))
    for number in range(EULER, 0, -1):
        parts = [network(part, torch.full((len(part),), number / EULER)) for part in z.split(BATCH)]
        z = z - torch.cat(parts) / EULER
    return z


def judged(
    space: Space, x: Tensor, held_out: Tensor, features: Callable[[Tensor], Tensor], steps: int, seed: int
) -> dict:
    """One latent: what the probe says, and how far the diffusion model's pictures are from the VAE's own."""
    z, z_held_out = space.encode(x), space.encode(held_out)
    mean, std = z.mean((0, 2, 3), keepdim=True), z.std((0, 2, 3), keepdim=True)
    measured: Diffusability = diffusability(z_held_out[:, :, None])
    network, loss = train_diffusion((z - mean) / std, steps, seed)
    samples = space.decode(draw_samples(network, seed) * std + mean)
    reconstructions = space.decode(z_held_out)
    return {
        **measured._asdict(),
        "psnr": pictures.psnr(held_out, reconstructions).mean().item(),
        "velocity_loss": loss,
        "frechet": frechet_distance(features(samples), features(reconstructions)),
        "frechet_of_reconstructions": frechet_distance(features(reconstructions), features(held_out)),
    }


def one_seed(seed: int, vae_steps: int, steps: int, network: ConvolutionFeatures) -> Iterator[dict]:
    """One row for each latent. network: judges the pictures."""
    x, held_out = read_pictures(settings({}, seed, vae_steps))

    def features(clips: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.cat([network(part[:, :, 0])[DEPTH].mean((2, 3)) for part in clips.split(BATCH)])

    spaces = {}
    for name, loss in LOSSES.items():
        spaces[name] = Space(train_vae(settings(loss, seed, vae_steps), x), None)
    spaces["turned"] = Space(spaces["plain"].vae, random_turns(seed))
    for name, space in spaces.items():
        yield {"latent": name, "seed": seed, **judged(space, x, held_out, features, steps, seed)}


def rank_correlation(first: list[float], second: list[float]) -> float:
    """Spearman's, for values without ties."""
    ranks = [torch.tensor(values).argsort().argsort().double() for values in (first, second)]
    return torch.corrcoef(torch.stack(ranks))[0, 1].item()


def table(rows: list[dict]) -> str:
    names = [*EASIER, "psnr", "velocity_loss", "frechet", "frechet_of_reconstructions"]
    lines = ["| latent | " + " | ".join(names) + " |", "| --- " * (len(names) + 1) + "|"]
    of: dict[str, list[dict]] = {}
    for row in rows:
        of.setdefault(row["latent"], []).append(row)
    for latent, found in sorted(of.items(), key=lambda item: statistics.fmean(r["frechet"] for r in item[1])):
        cells = []
        for name in names:
            values = [row[name] for row in found]
            spread = f" +-{(max(values) - min(values)) / 2:.2g}" if len(values) > 1 else ""
            cells.append(f"{statistics.fmean(values):.3g}{spread}")
        lines.append(f"| {latent} | " + " | ".join(cells) + " |")
    for judge in ("frechet", "velocity_loss"):
        agree = {
            name: rank_correlation([-sign * r[name] for r in rows], [r[judge] for r in rows])
            for name, sign in EASIER.items()
        }
        lines.append(
            f"\nRank correlation with {judge}: " + ", ".join(f"{name} {value:+.2f}" for name, value in agree.items())
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--vae-steps", type=int, default=600)
    parser.add_argument("--steps", type=int, default=1000, help="updates of the diffusion model")
    parser.add_argument("--save", type=Path, help="add the rows to this file, one JSON object a line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    begun, rows = time.process_time(), []
    plain = settings({}, 0, options.vae_steps)
    judge = build_perceptual(plain.loss.model_copy(update={"perceptual": "stlpips-alex"}), plain.data.channels)
    for seed in options.seeds:
        for row in one_seed(seed, options.vae_steps, options.steps, ConvolutionFeatures(judge.backbone)):
            rows.append(row)
            print(f"{time.process_time() - begun:6.0f} CPU s  {json.dumps(row)}", flush=True)
            if options.save is not None:
                with options.save.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()

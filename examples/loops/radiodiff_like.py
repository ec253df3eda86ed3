"""A radio-map VAE-GAN loop in the manner of RadioDiff's train_vae.py, tiny and on a CPU, watched by vaelab.Monitor.

The names, the losses and the printed lines are that trainer's; the code is new. The three lines of vaelab are marked.

python examples/loops/radiodiff_like.py [--kl-weight 100] [--steps 400]
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaelab import Monitor

SIZE, CHANNELS = 32, 3


def path_loss_maps(batch: int, generator: torch.Generator) -> Tensor:
    """Received power around a transmitter, with the shadows of two walls: (batch, 1, SIZE, SIZE) in [0, 1]."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    maps = []
    for _ in range(batch):
        row, column, wall, gap = torch.randint(2, SIZE - 2, (4,), generator=generator).tolist()
        distance = ((y - row) ** 2 + (x - column) ** 2 + 1.0).sqrt()
        power = 1 - torch.log(distance) / 4
        shadow = ((x > wall) & (column <= wall)) | ((y > gap) & (row <= gap))
        maps.append(power - 0.25 * shadow)
    return torch.stack(maps).unsqueeze(1).clamp(0, 1)


class AutoencoderKL(nn.Module):
    """Four times smaller in height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1), nn.SiLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.SiLU(), nn.Conv2d(32, 2 * CHANNELS, 1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(CHANNELS, 32, 3, padding=1), nn.SiLU(), nn.Upsample(scale_factor=2), nn.Conv2d(32, 16, 3, padding=1),
            nn.SiLU(), nn.Upsample(scale_factor=2),
        )  # fmt: skip
        self.conv_out = nn.Conv2d(16, 1, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, logvar = self.encoder(x).chunk(2, 1)
        logvar = logvar.clamp(-30, 20)
        return self.conv_out(self.decoder(mean + torch.randn_like(mean) * torch.exp(0.5 * logvar))), mean, logvar


def dict2str(values: Mapping[str, float]) -> str:
    return "".join(f"{name}: {value:.5f}, " for name, value in values.items())


def main() -> Monitor:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--kl-weight", type=float, default=1e-6)
    parser.add_argument("--disc-start", type=int, default=150)
    parser.add_argument("--lr", type=float, default=5e-4)
    parser.add_argument("--results-folder", default=None, help="folder for the rows of the Monitor")
    options = parser.parse_args()
    config: dict[str, Any] = {
        "model": {
            "embed_dim": CHANNELS,
            "lossconfig": {
                "disc_start": options.disc_start, "kl_weight": options.kl_weight, "disc_weight": 0.5, "disc_in_channels": 1,
            },
            "ddconfig": {"z_channels": CHANNELS, "resolution": [SIZE, SIZE], "in_channels": 1, "ch_mult": [1, 2, 4]},
        },
        "data": {"name": "radio", "batch_size": 2},
        "trainer": {"lr": options.lr, "train_num_steps": options.steps, "log_freq": 10},
    }  # fmt: skip
    loss_config, total = config["model"]["lossconfig"], options.steps
    logging.basicConfig(format="%(asctime)-15s %(message)s", level=logging.INFO, stream=sys.stdout)
    logging.info(config)
    monitor = Monitor(config, path=options.results_folder)  # vaelab, 1 of 3

    torch.set_num_threads(1)  # so small a model is fastest on one core
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    model = AutoencoderKL()
    discriminator = nn.Sequential(
        nn.Conv2d(1, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 1, 3, 1, 1)
    )  # fmt: skip
    lpips = nn.Sequential(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)).requires_grad_(False)
    opt_ae = torch.optim.AdamW(model.parameters(), options.lr)
    opt_disc = torch.optim.AdamW(discriminator.parameters(), options.lr)
    pixels, last_layer = SIZE * SIZE, model.conv_out.weight

    for step in range(total):
        x = path_loss_maps(config["data"]["batch_size"], generator)
        recon, mean, logvar = model(x)
        rec_loss = (
            functional.l1_loss(recon, x) + functional.mse_loss(recon, x) + functional.mse_loss(lpips(recon), lpips(x))
        )
        nll_loss = pixels * rec_loss
        kl_loss = (0.5 * (mean**2 + logvar.exp() - 1 - logvar)).sum((1, 2, 3)).mean()
        g_loss = -discriminator(recon).mean()
        disc_factor = float(step >= loss_config["disc_start"])
        nll_grad = torch.autograd.grad(nll_loss, last_layer, retain_graph=True)[0].norm()
        g_grad = torch.autograd.grad(g_loss, last_layer, retain_graph=True)[0].norm()
        d_weight = loss_config["disc_weight"] * (nll_grad / (g_grad + 1e-4)).clamp(0, 1e4)
        total_loss = nll_loss + loss_config["kl_weight"] * kl_loss + d_weight * disc_factor * g_loss
        opt_ae.zero_grad()
        total_loss.backward()
        opt_ae.step()

        logits_real, logits_fake = discriminator(x), discriminator(recon.detach())
        disc_loss = (
            disc_factor * 0.5 * (functional.relu(1 - logits_real).mean() + functional.relu(1 + logits_fake).mean())
        )
        opt_disc.zero_grad()
        disc_loss.backward()
        opt_disc.step()

        log_ae = {
            "train/total_loss": total_loss, "train/logvar": torch.tensor(0.0), "train/kl_loss": kl_loss, "train/nll_loss": nll_loss,
            "train/rec_loss": rec_loss, "train/d_weight": d_weight, "train/disc_factor": torch.tensor(disc_factor),
            "train/g_loss": g_loss,
        }  # fmt: skip
        log_disc = {
            "train/disc_loss": disc_loss, "train/logits_real": logits_real.mean(), "train/logits_fake": logits_fake.mean(),
        }  # fmt: skip
        monitor.log(step, {**log_ae, **log_disc, "lr": options.lr}, x=x, recon=recon, z=mean)  # vaelab, 2 of 3
        if step % config["trainer"]["log_freq"] == 0:
            for log in (log_ae, log_disc):
                values = {name: value.item() for name, value in log.items()} | {"lr": options.lr}
                logging.info("[Train Step] %d/%d: %s", step, total, dict2str(values))
        if monitor.status == "stop":  # vaelab, 3 of 3
            logging.info(monitor.headline)
            break
    return monitor


if __name__ == "__main__":
    print(main().wait())

"""A video VAE-GAN loop in the manner of Pyramid-Flow's train_video_vae.py, tiny and on a CPU, watched by vaelab.Monitor.

The names, the losses and the printed lines are that trainer's; the code is new. The three lines of vaelab are marked.

python examples/loops/pyramid_flow_like.py [--disc_weight 100 --disc_start 60]
"""

from __future__ import annotations

import argparse
import datetime
import statistics
import time
from collections import defaultdict, deque

import torch
from torch import Tensor, nn
from torch.nn import functional

from vaelab import Monitor

FRAMES, SIZE, CHANNELS = 5, 16, 4


def clips(batch: int, generator: torch.Generator) -> Tensor:
    """Bright squares that move over a dark ground: (batch, 3, FRAMES, SIZE, SIZE) in [-1, 1]."""
    x = torch.full((batch, 3, FRAMES, SIZE, SIZE), -0.9)
    for item in x:
        row, column, way = torch.randint(0, SIZE - 8, (3,), generator=generator).tolist()
        colour = torch.rand(3, 1, 1, generator=generator) * 1.8 - 0.8
        for frame in range(FRAMES):
            right = (column + frame * (way % 3 - 1)) % (SIZE - 4)
            item[:, frame, row : row + 5, right : right + 4] = colour
    return x


class VideoVAE(nn.Module):
    """Four times smaller in height and width, twice in time after the first frame."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv3d(3, 16, 3, (1, 2, 2), 1), nn.SiLU(), nn.Conv3d(16, 2 * CHANNELS, 3, (2, 2, 2), 1)
        )
        self.decoder = nn.Sequential(
            nn.Conv3d(CHANNELS, 16, 3, padding=1), nn.SiLU(), nn.Upsample(size=(FRAMES, SIZE, SIZE)), nn.Conv3d(16, 16, 3, padding=1),
            nn.SiLU(),
        )  # fmt: skip
        self.conv_out = nn.Conv3d(16, 3, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, logvar = self.encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * logvar)
        return self.conv_out(self.decoder(z)), mean, logvar


def frames_of(x: Tensor) -> Tensor:
    return x.transpose(1, 2).flatten(0, 1)


class MetricLogger:
    """Prints the median of the last 20 values and the mean since the epoch began."""

    def __init__(self, epoch: int, iters: int) -> None:
        self.epoch, self.iters, self.begun = epoch, iters, time.time()
        self.last: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=20))
        self.sums: dict[str, list[float]] = defaultdict(lambda: [0.0, 0])

    def update(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.last[name].append(value)
            self.sums[name][0] += value
            self.sums[name][1] += 1

    def line(self, i: int, lr: float) -> str:
        each = (time.time() - self.begun) / (i + 1)
        eta = datetime.timedelta(seconds=int(each * (self.iters - i)))
        meters = [
            f"{name}: {statistics.median_low(last):.4f} ({self.sums[name][0] / self.sums[name][1]:.4f})"
            for name, last in self.last.items()
        ]
        head = f"Epoch: [{self.epoch}]  [{i:>{len(str(self.iters))}}/{self.iters}]  eta: {eta}"
        return "  ".join([head, f"lr: {lr:.6f}", *meters, f"time: {each:.4f}", "data: 0.0000"])


def main() -> Monitor:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {
        "epochs": 2, "iters_per_epoch": 100, "print_freq": 10, "batch_size": 2, "disc_start": 120, "kl_weight": 1e-6,
        "pixelloss_weight": 10.0, "perceptual_weight": 1.0, "disc_weight": 0.5, "lr": 2e-3, "clip_grad": 1.0,
    }.items():  # fmt: skip
        parser.add_argument(f"--{name}", type=type(default), default=default)
    parser.add_argument("--output_dir", default=None, help="folder for the rows of the Monitor")
    args = parser.parse_args()
    monitor = Monitor(args, path=args.output_dir)  # vaelab, 1 of 3

    torch.set_num_threads(1)  # so small a model is fastest on one core
    torch.manual_seed(42)
    generator = torch.Generator().manual_seed(42)
    vae = VideoVAE()
    discriminator = nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(16, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 1, 3, 1, 1)
    )  # fmt: skip
    lpips = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3)).requires_grad_(False)
    optimizer = torch.optim.AdamW(vae.parameters(), args.lr)
    optimizer_disc = torch.optim.AdamW(discriminator.parameters(), 5e-5)
    last_layer = vae.conv_out.weight

    print(args)
    for epoch in range(args.epochs):
        metric_logger = MetricLogger(epoch, args.iters_per_epoch)
        for i in range(args.iters_per_epoch):
            global_step = epoch * args.iters_per_epoch + i
            x = clips(args.batch_size, generator)
            recon, mean, logvar = vae(x)

            rec_loss = functional.mse_loss(recon, x)
            perception_loss = functional.mse_loss(lpips(frames_of(recon)), lpips(frames_of(x)))
            nll_loss = args.pixelloss_weight * rec_loss + args.perceptual_weight * perception_loss
            # summed over time and space, the mean over batch and channels
            kl_loss = (0.5 * (mean**2 + logvar.exp() - 1 - logvar)).sum((2, 3, 4)).mean()
            values = {
                "rec_loss": rec_loss,
                "perception_loss": perception_loss,
                "kl_loss": kl_loss,
                "nll_loss": nll_loss,
            }
            vae_loss = nll_loss + args.kl_weight * kl_loss
            gan = global_step >= args.disc_start
            if gan:
                g_loss = -discriminator(frames_of(recon)).mean()
                nll_grad = torch.autograd.grad(nll_loss, last_layer, retain_graph=True)[0].norm()
                g_grad = torch.autograd.grad(g_loss, last_layer, retain_graph=True)[0].norm()
                d_weight = args.disc_weight * (nll_grad / (g_grad + 1e-4)).clamp(0, 1e4)
                vae_loss = vae_loss + d_weight * g_loss
                values |= {"d_weight": d_weight, "g_loss": g_loss}
            optimizer.zero_grad()
            vae_loss.backward()
            grad_norm = nn.utils.clip_grad_norm_(vae.parameters(), args.clip_grad)
            optimizer.step()
            values |= {"vae_loss": vae_loss, "disc_factor": torch.tensor(float(gan)), "grad_norm": grad_norm}

            if gan:
                logits_real = discriminator(frames_of(x))
                logits_fake = discriminator(frames_of(recon.detach()))
                disc_loss = 0.5 * (functional.relu(1 - logits_real).mean() + functional.relu(1 + logits_fake).mean())
                optimizer_disc.zero_grad()
                disc_loss.backward()
                optimizer_disc.step()
                values |= {"disc_loss": disc_loss, "logits_real": logits_real.mean(), "logits_fake": logits_fake.mean()}

            monitor.log(global_step, values, x=x, reconstruction=recon, latent=mean, lr=args.lr)  # vaelab, 2 of 3
            metric_logger.update({name: value.item() for name, value in values.items()})
            if i % args.print_freq == 0 or i == args.iters_per_epoch - 1:
                print(metric_logger.line(i, args.lr), flush=True)
            if monitor.status == "stop":  # vaelab, 3 of 3
                print(monitor.headline)
                return monitor
    return monitor


if __name__ == "__main__":
    print(main().wait())

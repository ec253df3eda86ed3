"""The least there is to do: a plain PyTorch loop with vaelab.Monitor in three lines, its checkpoint and its report.

python examples/loops/plain_pytorch.py [--steps 300] [--lr 0.002] [--report FOLDER]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import nn

from vaelab import Monitor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--kl_weight", type=float, default=1e-6)
    parser.add_argument(
        "--checkpoint", type=Path, default=None, help="saved at the end; if it is there, training goes on"
    )
    parser.add_argument("--report", type=Path, default=None, help="folder for the report at the end")
    args = parser.parse_args()

    torch.set_num_threads(1)  # so small a model is fastest on one core
    torch.manual_seed(0)
    encoder = nn.Sequential(nn.Conv2d(1, 16, 4, 4), nn.SiLU(), nn.Conv2d(16, 8, 1))
    decoder = nn.Sequential(nn.Conv2d(4, 16, 3, padding=1), nn.SiLU(), nn.ConvTranspose2d(16, 1, 4, 4))
    optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], args.lr)
    ramp = torch.linspace(-1, 1, 16)
    first = 0

    monitor = Monitor(args)  # 1
    monitor.on_change(lambda change: print(change.text))
    if args.checkpoint and args.checkpoint.exists():
        saved = torch.load(args.checkpoint)
        encoder.load_state_dict(saved["encoder"])
        decoder.load_state_dict(saved["decoder"])
        optimizer.load_state_dict(saved["optimizer"])
        monitor.load_state_dict(saved["monitor"])
        first = saved["step"] + 1

    for step in range(first, first + args.steps):
        a, b = torch.rand(2, 8, 1, 1, 1) * 2 - 1
        x = (a * ramp[:, None] + b * ramp[None, :]).clamp(-1, 1)
        mean, logvar = encoder(x).chunk(2, 1)
        recon = decoder(mean + torch.randn_like(mean) * torch.exp(0.5 * logvar))
        rec_mse = ((x - recon) ** 2).mean()
        kl_loss = 0.5 * (mean**2 + logvar.exp() - 1 - logvar).sum((1, 2, 3)).mean()
        loss = rec_mse + args.kl_weight * kl_loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

        monitor.log(step, {"loss": loss, "rec_mse": rec_mse, "kl_loss": kl_loss, "x": x, "latent": mean})  # 2
        if monitor.status == "stop":  # 3
            break

    print(f"{monitor.wait()}: {monitor.headline}")
    if args.checkpoint:
        state = {"encoder": encoder.state_dict(), "decoder": decoder.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save({**state, "monitor": monitor.state_dict(), "step": step}, args.checkpoint)
    if args.report:
        for path in monitor.report(args.report):
            print(path)


if __name__ == "__main__":
    main()

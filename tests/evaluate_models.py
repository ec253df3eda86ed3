"""A small trained autoencoder, and copies of it with a planted fault each.

Its weights are fixed (tests/data/evaluate_model.safetensors): where a training ends depends on the processor, and what is
judged here must not. ``python tests/evaluate_models.py`` trains it again, in seconds.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import avg_pool3d, pad

from small_training import small_config
from vaelab.config.load import dump_config
from vaelab.config.schema import DataConfig
from vaelab.data import open_data, train_batches
from vaelab.evaluation.clips import Clips
from vaelab.evaluation.pictures import from_uint8
from vaelab.models import Autoencoder, build_autoencoder

WEIGHTS = Path(__file__).parent / "data" / "evaluate_model.safetensors"
SPACE, TIME = 2, 2
CLIP = DataConfig(source="moving-shapes", frames=5, resolution=(32, 32), workers=0, val_samples=6)


class PatchVAE(nn.Module):
    """Patches of 2 frames x 2 x 2 pixels in, 24 latent channels, patches out; causal, 1 + 2 k frames, the first alone."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv3d(3, 24, (TIME, SPACE, SPACE), (TIME, SPACE, SPACE))
        self.up = nn.ConvTranspose3d(24, 3, (TIME, SPACE, SPACE), (TIME, SPACE, SPACE))

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.down(pad(x, (0, 0, 0, 0, 1, 0), mode="replicate")),)

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.up(z)[:, :, 1:],)


class Changed(nn.Module):
    """Another module whose decoded clips go through ``change``."""

    def __init__(self, inner: nn.Module, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.inner, self.change = inner, change

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor]:
        return self.inner.encode(x)  # type: ignore[operator, no-any-return]

    def decode(self, z: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.change(self.inner.decode(z)[0]),)  # type: ignore[operator]


@cache
def _trained() -> PatchVAE:
    module = PatchVAE()
    module.load_state_dict(load_file(WEIGHTS))
    return module


def write_weights() -> None:
    """Train the model anew."""
    torch.manual_seed(0)
    module = PatchVAE()
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    with train_batches(open_data(CLIP, 0).train, CLIP, 4, 0) as batches:
        clips = [from_uint8(next(batches).pixels) for _ in range(8)]
    for step in range(300):
        x = clips[step % len(clips)]
        for group in optimizer.param_groups:
            group["lr"] = 1e-2 * (1 - step / 300)
        loss = (module.decode(module.encode(x)[0])[0] - x).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file(module.state_dict(), WEIGHTS)


def healthy() -> Autoencoder:
    """About 35 dB on held-out clips."""
    return Autoencoder(copy.deepcopy(_trained()), 3).eval().requires_grad_(False)


def _checkerboard(module: PatchVAE) -> nn.Module:
    module.up.weight.data[:, :, :, 0, 0] *= 0.8  # one of the four pixels of each patch is always too weak
    module.up.bias.data += 0.02
    return module


def _swapped(module: PatchVAE) -> nn.Module:
    module.up.weight.data = module.up.weight.data.flip(1)
    module.up.bias.data = module.up.bias.data.flip(0)
    return module


def _colour(module: PatchVAE) -> nn.Module:
    module.up.bias.data += torch.tensor([0.06, 0.0, -0.02])
    return module


def _nan(module: PatchVAE) -> nn.Module:
    module.up.weight.data[3, 1] = torch.nan
    return module


def _dead(module: PatchVAE) -> nn.Module:
    module.up.weight.data.zero_()
    return module


def _noise(x: torch.Tensor) -> torch.Tensor:
    return x + 0.15 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))


def _ghost(x: torch.Tensor) -> torch.Tensor:
    return torch.cat([0.6 * x[:, :, :1] + 0.2 * x[:, :, :1].roll(6, -1), x[:, :, 1:]], dim=2)


def _flicker(x: torch.Tensor) -> torch.Tensor:
    sign = torch.tensor([1.0, -1.0]).repeat(x.shape[2])[: x.shape[2], None, None]
    return x + 0.06 * sign


_CHANGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "frozen": lambda x: x[:, :, :1].expand_as(x),
    "range_0_1": lambda x: (x + 1) / 2,
    "range_0_255": lambda x: (x + 1) * 127.5,
    "inverted": lambda x: -x,
    "blurred": lambda x: avg_pool3d(x, (1, 5, 5), 1, (0, 2, 2), count_include_pad=False),
    "noisy": _noise,
    "ghost": _ghost,
    "flicker": _flicker,
}
_EDITS: dict[str, Callable[[PatchVAE], nn.Module]] = {
    "checkerboard": _checkerboard,
    "swapped": _swapped,
    "colour": _colour,
    "nan": _nan,
    "dead": _dead,
}
FAULTS = {
    "checkerboard": "REC121",
    "frozen": "REC122",
    "blurred": "REC123",
    "noisy": "REC124",
    "colour": "REC125",
    "swapped": "REC126",
    "range_0_1": "REC127",
    "range_0_255": "REC127",
    "inverted": "REC127",
    "ghost": "REC128",
    "flicker": "REC130",
    "dead": "REC119",
    "nan": "REC120",
}


def faulty(name: str) -> Autoencoder:
    """The trained model with one fault of ``FAULTS``."""
    module = copy.deepcopy(_trained())
    changed = _EDITS[name](module) if name in _EDITS else Changed(module, _CHANGES[name])
    return Autoencoder(changed, 3).eval().requires_grad_(False)


def held_out(count: int = 6) -> Iterator[tuple[str, torch.Tensor]]:
    """Held-out clips, float (1, 3, 5, 32, 32)."""
    return iter(Clips(open_data(CLIP, 0).val, CLIP, count, "moving shapes"))


def write_run(folder: Path, steps: tuple[int, ...] = (10, 20)) -> Path:
    """A run folder as vaelab train leaves it, with an untrained model for clips of 3 x 8 x 8 and its log."""
    config = small_config(video=True, data={"length": 20, "val_samples": 6})
    torch.manual_seed(0)
    model, averaged = (build_autoencoder(config.model, 3) for _ in range(2))
    for step in steps:
        place = folder / "checkpoints" / f"step-{step:08d}"
        model.save(place / "autoencoder")
        averaged.save(place / "autoencoder_ema")
    (folder / "config.yaml").write_text(dump_config(config))
    row = {"rec_mse": 0.3, "rec_loss": 0.4, "clip_coefficient": 1.0, "time": 0.0}
    (folder / "metrics.jsonl").write_text("".join(json.dumps({"step": i, **row}) + "\n" for i in range(30)))
    return folder


if __name__ == "__main__":
    write_weights()

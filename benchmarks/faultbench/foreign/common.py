"""What all loops share: data made with numpy, faults of the data, the log file, and the held-out measure of a finished run.

A loop is a module with SETTINGS (what the three seeds vary), FAULTS (name: onset step, accepted causes) and main(fault, seed, out).
main trains with the third-party trainer, leaves its log in `out` and calls `finish`, which writes out/run.json.
"""

import contextlib
import json
import math
import os
import pathlib
import random
import sys
import time

import numpy as np
import torch

SRC = pathlib.Path(os.environ.get("FAULTBENCH_REPOSITORIES", "."))  # checkouts of public repositories


def images(n: int, size: int, channels: int, seed: int, simple: bool = False) -> np.ndarray:
    """Ellipses and bars over a gradient: float32 (n, channels, size, size) in [0, 1]. Simple: one ellipse, for nets with a vector latent."""
    r = np.random.default_rng(seed)
    y, x = np.mgrid[0:size, 0:size] / (size - 1) * 2 - 1
    out = np.empty((n, channels, size, size), np.float32)
    for i in range(n):
        a = r.uniform(-1, 1, (channels, 3))
        im = 0.5 + 0.25 * (a[:, :1, None] * x + a[:, 1:2, None] * y) + 0.1 * a[:, 2:, None]
        for _ in range(1 if simple else r.integers(2, 5)):
            cx, cy, w, h, t = (
                r.uniform(-0.8, 0.8),
                r.uniform(-0.8, 0.8),
                r.uniform(0.15, 0.6),
                r.uniform(0.15, 0.6),
                r.uniform(0, math.pi),
            )
            if simple:
                cx, cy, w, h, t = cx * 0.7, cy * 0.7, 0.4 + w / 2, 0.4 + w / 2, 0.0
            u, v = (x - cx) * math.cos(t) + (y - cy) * math.sin(t), -(x - cx) * math.sin(t) + (y - cy) * math.cos(t)
            inside = (u / w) ** 2 + (v / h) ** 2 < 1 if simple or r.random() < 0.7 else (abs(u) < w) & (abs(v) < h)
            im = np.where(inside, r.uniform(0, 1, (channels, 1, 1)), im)
        out[i] = np.clip(im + r.normal(0, 0.01, im.shape), 0, 1)
    return out


def settings(planned: dict[int, dict], seed: int) -> dict:
    """Of a run: as planned for seeds 0 to 2; for others the batch of one of them with a rate of its own."""
    if seed in planned:
        return planned[seed]
    rate = 2 ** np.random.default_rng([seed, 1]).uniform(-0.7, 0.7)
    return {k: v * rate if k.lower() == "lr" else v for k, v in planned[seed % len(planned)].items()}


def share(seed: int) -> float:
    """How much of the planned fault a run has, on a logarithmic scale: all of it for seeds 0 to 2."""
    return 1.0 if seed < 3 else float(np.random.default_rng([seed, 2]).uniform(0.15, 1.1))


def severity(normal: float, full: float, seed: int) -> float:
    """A setting between its healthy value and that of the planned fault, both above 0."""
    return normal * (full / normal) ** share(seed)


def onset(faults: dict, fault: str, seed: int, total: int) -> int:
    """First spoilt step (or epoch) of `total`. Faults that act from the beginning always do."""
    planned = faults.get(fault, (0, None))[0]
    if seed < 3 or planned == 0:
        return planned
    return max(1, int(total * np.random.default_rng([seed, 3]).uniform(0.1, 0.85)))


class Stream(torch.utils.data.Dataset):
    """Items of an array; from the `onset`-th served item on they are spoilt: 'black' (constant), 'nan' (one item in 40), 'scale255'."""

    def __init__(self, data: np.ndarray, spoil: str | None = None, onset: int = 0, wrap=lambda x: x):
        self.data, self.spoil, self.onset, self.wrap, self.served = data, spoil, onset, wrap, 0

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, i):
        x = torch.from_numpy(self.data[i]).clone()
        self.served += 1
        if self.spoil and self.served > self.onset:
            if self.spoil == "black":
                x = torch.full_like(x, float(self.data.min()))
            elif self.spoil == "nan" and self.served % 40 == 0:
                x[..., 0, 0] = float("nan")
            elif self.spoil == "scale255":
                x = x * 255
        return self.wrap(x)


def vgg_features(layers: int = 9):
    """The first layers of VGG16 with the weights that the package stlpips_pytorch carries."""
    return torch.nn.Sequential(*list(vgg16().features)[:layers]).eval().requires_grad_(False)


class MeanFeatures(torch.nn.Module):
    """Channel means of VGG16's early features: (batch, 128)."""

    def __init__(self):
        super().__init__()
        self.net = vgg_features(9)

    def forward(self, x):
        return self.net(x).mean((2, 3))


def _vgg_state() -> dict:
    import importlib.util

    root = pathlib.Path(next(iter(importlib.util.find_spec("stlpips_pytorch").submodule_search_locations)))
    return torch.load(next(root.rglob("*vgg*.pth")), map_location="cpu", weights_only=True)


def vgg16(*_, **__):
    """In place of torchvision.models.vgg16(pretrained=True): an object whose `features` carry stlpips_pytorch's weights."""
    import types

    import torchvision

    features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    convs = [m for m in features if isinstance(m, torch.nn.Conv2d)]
    state = {k: v for k, v in _vgg_state().items() if k.startswith("net.") and not k.endswith("filt")}
    for conv, w, b in zip(
        convs, [v for v in state.values() if v.ndim == 4], [v for v in state.values() if v.ndim == 1], strict=True
    ):
        conv.weight.data.copy_(w), conv.bias.data.copy_(b)
    return types.SimpleNamespace(features=features)


def torchvision_shim() -> None:
    """torchvision's compiled half does not load beside a CPU torch: declare the two operators that its import asks for."""
    if _shims:
        return
    lib = torch.library.Library("torchvision", "DEF")
    for op in (
        "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    ):
        with contextlib.suppress(RuntimeError):
            lib.define(op)
    _shims.append(lib)


_shims: list = []


def lpips_heads() -> dict:
    """The five 1x1 heads of LPIPS under the names of the public files: lin0.model.1.weight and so on."""
    return {k: v for k, v in _vgg_state().items() if k.startswith("lin")}


def seed_all(seed: int) -> None:
    random.seed(seed), np.random.seed(seed), torch.manual_seed(seed)


@contextlib.contextmanager
def console(out: pathlib.Path, name: str = "train.log"):
    """Send all that the trainer prints (stdout and stderr) to out/name; a traceback ends there too, as in a captured console."""
    import traceback

    with (out / name).open("w", buffering=1) as f, contextlib.redirect_stdout(f), contextlib.redirect_stderr(f):
        try:
            yield
        except (ArithmeticError, RuntimeError, ValueError):
            traceback.print_exc()


def finish(
    out, fault, seed, log, recon, val: np.ndarray, onset: int, steps: int, t0: float, extra: dict | None = None
) -> None:
    """Measure held-out PSNR (val in [0, 1]; recon maps a batch in [0, 1] to one) and write run.json."""
    try:
        with torch.no_grad():
            got = torch.cat([recon(torch.from_numpy(b)) for b in np.array_split(val, max(1, len(val) // 32))]).float()
        mse = float(((got.clamp(-1, 2) - torch.from_numpy(val)) ** 2).mean())
        mae = float((got.clamp(-1, 2) - torch.from_numpy(val)).abs().mean())
    except Exception as e:  # a broken model has no measure: that is the worst harm
        mse = mae = float("nan")
        print("measure failed:", type(e).__name__, e, file=sys.__stderr__)
    psnr = 10 * math.log10(1 / mse) if mse > 0 else None
    (pathlib.Path(out) / "run.json").write_text(
        json.dumps(
            {
                "fault": fault,
                "seed": seed,
                "log": log,
                "onset": onset,
                "steps": steps,
                "severity": share(seed),
                "psnr": psnr,
                "mae": mae if mae == mae else None,
                "seconds": round(time.process_time() - t0, 1),
                **(extra or {}),
            },
            indent=1,
        )
    )


def patched(path: pathlib.Path, *changes: tuple[str, str]) -> str:
    """Source text of a public script with exact replacements; each must be found."""
    text = path.read_text()
    for old, new in changes:
        if old not in text:
            raise SystemExit(f"{path}: not found: {old!r}")
        text = text.replace(old, new)
    return text

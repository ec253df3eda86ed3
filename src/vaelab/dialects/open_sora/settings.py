"""Open-Sora's settings of its VAE trainer: Python files of assignments (``_base_`` included), or the same keys as YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vaelab.config.foreign.draft import flat
from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.options import Options, python_options, yaml_lines
from vaelab.dialects.plan import Gan, Loss, Optim, Plan, Sample, Schedule
from vaelab.files import read_text

ID = "open_sora"
TITLE = "Open-Sora (scripts/vae/train.py)"
DEEPEST = 8  # files that start from one another

KEYS = {
    "disc_start": "disc_loss_config.disc_start",
    "gan": "discriminator",
    "updates": "epochs",
    "warmup": "lr_scheduler.warmup_steps",
    "lr": "optim.lr",
    "kl_weight": "vae_loss_config.kl_loss_weight",
    "accumulate": "accumulation_steps",
    "clip": "grad_clip",
    "frames": "bucket_config",
    "perceptual_weight": "vae_loss_config.perceptual_loss_weight",
    "precision": "dtype",
    "checkpoint_every": "ckpt_every",
}
# frames of one latent frame, first frames apart, factor of height and width, latent channels
MODELS = {"dc_ae": ((4, 0), 4, 32, 128), "hunyuan_vae": ((4, 1), 4, 8, 16), "HunyuanVAE": ((4, 1), 4, 8, 16)}
SECTIONS = ("vae_loss_config", "gen_loss_config", "disc_loss_config")


def certainty(text: str, parsed: Any) -> float:
    """A file, Python or YAML, with the sections of the VAE trainer."""
    if isinstance(parsed, dict):
        return float(bool(set(SECTIONS) & set(parsed)))
    return float(parsed is None and any(f"{word} =" in text or f"{word}=" in text for word in SECTIONS))


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    o = Options(flat(parsed), yaml_lines(text)) if isinstance(parsed, dict) else _with_bases(text, path)
    kind = str(o.get("model.type", ""))
    grid, time, factor, latent = MODELS.get(kind, (None, None, None, None))
    buckets = [key.split(".") for key in o if key.startswith("bucket_config.")]
    frames = next((int(b[-1]) for b in buckets if b[-1].isdigit() and int(b[-1]) > 1), None)
    size = next((int(b[1].partition("px")[0]) for b in buckets if b[1].partition("px")[0].isdigit()), None)
    keys = KEYS | {"frames": next((".".join(b) for b in buckets), "bucket_config")}
    built = o.get("discriminator") is not None or any(key.startswith("discriminator.") for key in o)
    lr = o.number("optim.lr")
    start = max(o.number("disc_loss_config.disc_start", 2001) or 0, o.number("gen_loss_config.gen_start", 2001) or 0)
    return [
        Plan(
            ID,
            TITLE,
            o,
            keys,
            Schedule(warmup=o.whole("lr_scheduler.warmup_steps"), checkpoint_every=None),
            Gan(
                built=built,
                asked=any(key.startswith(("gen_loss_config", "disc_loss_config")) for key in o),
                start=start,
                counter="updates (batches / accumulation_steps)",
                warmed_up=(o.number("disc_loss_config.disc_start", 2001) or 0)
                < (o.number("gen_loss_config.gen_start", 2001) or 0),
            ),
            Loss(
                "sum_per_frame",
                1.0,
                o.number("vae_loss_config.perceptual_loss_weight", 1.0),
                o.number("vae_loss_config.kl_loss_weight", 5e-4),
                "sum_per_frame",
            ),
            Sample(3, frames, size, size, latent, grid, time, factor, kind or "the model", frames_in_name=True),
            Optim(
                rate=lr,
                base=lr,
                gpus=None,
                accumulate=o.whole("accumulation_steps", 1),
                clip=o.number("grad_clip"),
                ema_decay=o.number("ema_decay"),
                precision=str(o.get("dtype", "bf16")),
                loss_in_precision=True,
            ),
        )
    ]


def _with_bases(text: str, path: str, depth: int = 0) -> Options:
    """The file's options over those of the files in its ``_base_``; only its own have lines."""
    own = python_options(text)
    values: dict[str, Any] = {}
    bases = own.get("_base_", [])
    for name in [bases] if isinstance(bases, str) else bases:
        file = Path(path).parent / str(name)
        if depth < DEEPEST and file.is_file():
            values |= dict(_with_bases(read_text(file), str(file), depth + 1))
    return Options(values | dict(own), own.lines, "python")


SETTINGS = (SettingsSource(ID, TITLE, "hpcaitech/Open-Sora at 7ad6a96", certainty, plans),)

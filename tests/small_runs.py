"""Settings of training runs that take seconds on one core."""

from __future__ import annotations

import copy
import os
import sys
from pathlib import Path
from typing import Any

from vaelab.config import TrainConfig
from vaelab.config.load import dump_config

ROOT = Path(__file__).parents[1]

SETTINGS: dict[str, Any] = {
    "name": "small",
    "model": {
        "type": "AutoencoderKL",
        "config": {
            "block_out_channels": [8, 8],
            "layers_per_block": 1,
            "down_block_types": ["DownEncoderBlock2D"] * 2,
            "up_block_types": ["UpDecoderBlock2D"] * 2,
            "latent_channels": 4,
            "norm_num_groups": 4,
            "mid_block_add_attention": False,
        },
    },
    "data": {
        "source": "moving-shapes",
        "frames": 1,
        "resolution": [32, 32],
        "workers": 0,
        "length": 24,
        "val_samples": 4,
    },
    "loss": {
        "perceptual_weight": 0.0,
        "kl_weight": 1e-6,
        "disc_channels": 8,
        "disc_layers": 2,
        "disc_start": 8,
        "disc_warmup": 3,
        "lecam_weight": 0.01,
        "d_weight_ema": 0.9,
        "logvar": "learned",
    },
    "optim": {"lr": 1e-3, "warmup_steps": 4, "schedule": "cosine"},
    "run": {
        "steps": 30,
        "batch_size": 2,
        "device": "cpu",
        "log_every": 3,
        "validate_every": 10,
        "checkpoint_every": 4,
        "preview_samples": 0,
        "diagnose_every": 10_000,
        "trackers": [],
    },
}

# what a clock writes; everything else must be equal bit for bit
TIMES = ("time", "step_time", "data_time", "samples_per_second", "memory")


def small(**changes: Any) -> TrainConfig:
    """``SETTINGS`` with ``section__option=value`` changed."""
    settings = copy.deepcopy(SETTINGS)
    for key, value in changes.items():
        section, option = key.split("__", 1)
        settings[section][option] = value
    return TrainConfig.model_validate(settings)


def written(path: Path, config: TrainConfig) -> Path:
    path.write_text(dump_config(config), encoding="utf-8")
    return path


def environment() -> dict[str, str]:
    """For child processes: this checkout's package, one thread, as two processes share two cores."""
    threads = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    return {**os.environ, **threads, "PYTHONPATH": str(ROOT / "src"), "NO_COLOR": "1", "VAELAB_DEBUG": "1"}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "vaelab", *map(str, arguments)]


def rows(folder: Path) -> list[dict[str, Any]]:
    """metrics.jsonl without what a clock wrote."""
    import json

    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in lines]


def events(folder: Path) -> list[dict[str, Any]]:
    import json

    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]

"""Which files in a folder are logs, and which of them belong to one run.

A run often leaves several views of itself: the console output, a metrics.csv, TensorBoard events. One of them is read
and the others are named. Files that are runs of their own stay apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vaelab import trainers
from vaelab.readers.base import flatten
from vaelab.readers.config_text import parse_config_text

LOG_SUFFIXES = frozenset(
    (".log", ".txt", ".out", ".err", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".gz", ".stdout", ".stderr", "")
)
NOT_LOGS = frozenset(
    (
        "truth.json",
        "config.json",
        "args.json",
        "requirements.txt",
        "wandb-summary.json",
        "wandb-metadata.json",
        "discarded.jsonl",  # rows of vaelab train that a resume computed again
    )
)
SKIPPED_FOLDERS = frozenset(
    ("__pycache__", "node_modules", "site-packages", "checkpoints", "ckpt", "images", "samples", "previews", "report")
)
# folders that hold one kind of log of the run in the folder above
VIEW_FOLDERS = re.compile(
    r"^(tensorboard|tb|tf|tb_logs|testtube|lightning_logs|csv|csv_logs|logs?|events|runs?|wandb|version_\d+)$", re.I
)
VERSION = re.compile(r"^version_\d+$")
# TensorBoard writers for training and validation that stand side by side
SPLIT_FOLDERS = frozenset(("train", "training", "val", "valid", "validation", "eval", "test"))
CONFIG_NAMES = ("config.yaml", "derived.yaml", "config.yml", "hparams.yaml")
CONFIG_LIMIT = 1 << 20  # bytes


def is_event_file(path: Path) -> bool:
    return "tfevents" in path.name


def candidates(folder: Path) -> list[Path]:
    """Files below ``folder`` that may be logs, by name; hidden ones are left out."""
    found = []
    for where, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f.lower() not in SKIPPED_FOLDERS)
        for name in sorted(files):
            path = Path(where, name)
            numbered = is_event_file(path) or re.fullmatch(r"\.\d+", path.suffix)  # train.log.1
            if name.startswith(".") or name in NOT_LOGS or not (numbered or path.suffix.lower() in LOG_SUFFIXES):
                continue
            if path.is_file():  # a pipe would be waited on for ever
                found.append(path)
    return found


def run_folder(path: Path, top: Path) -> tuple[Path, str]:
    """``(folder of the run that the log at path is a view of, its version_N part or "")``; not above ``top``."""
    folder, version = path.parent, ""
    if is_event_file(path) and folder != top and folder.name.lower() in SPLIT_FOLDERS:
        folder = folder.parent
    while folder != top and VIEW_FOLDERS.match(folder.name):
        if VERSION.match(folder.name):
            version = folder.name
        folder = folder.parent
    return folder, version


def tag_prefix(path: Path) -> str:
    """``val/`` for an event file in a folder ``validation`` beside others, and so on; empty for training."""
    name = path.parent.name.lower()
    return f"{name}/" if name in SPLIT_FOLDERS - {"train", "training"} else ""


def declared_beside(folders: Iterable[Path], every_yaml: bool) -> tuple[dict[str, Any], list[str]]:
    """Config values from YAML files in ``folders`` under their flat names, and the files they come from.

    Only files with a key that vaelab knows count. ``every_yaml``: any ``*.yaml``, not only ``CONFIG_NAMES``.
    """
    config: dict[str, Any] = {}
    used = []
    for folder in dict.fromkeys(folders):
        names = [folder / name for name in CONFIG_NAMES]
        if every_yaml:
            names += sorted([*folder.glob("*.yaml"), *folder.glob("*.yml"), *folder.glob("configs/*.yaml")])
        for path in dict.fromkeys(names):
            declared = _load(path)
            if declared and trainers.canonical_config(declared):
                config = {**declared, **config}
                used.append(str(path))
    return config, used


def _load(path: Path) -> Mapping[str, Any]:
    try:
        if not path.is_file() or path.stat().st_size > CONFIG_LIMIT:
            return {}
        return flatten(parse_config_text(path.read_text("utf-8", "replace")))
    except OSError:
        return {}

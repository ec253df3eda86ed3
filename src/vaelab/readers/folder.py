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

from vaelab import dialects
from vaelab.files import read_text
from vaelab.patterns import pattern
from vaelab.readers.base import flatten
from vaelab.readers.config_text import parse_config_text
from vaelab.readers.mlflow_files import META, is_run_folder
from vaelab.roles import declared_roles

LOG_SUFFIXES = frozenset(
    (".log", ".txt", ".out", ".err", ".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".gz", ".stdout", ".stderr", "",
     ".wandb", ".db", ".sqlite", ".sqlite3", ".zip")
)  # fmt: skip
NOT_LOGS = frozenset(
    (
        "truth.json",
        "config.json",
        "args.json",
        "requirements.txt",
        "wandb-summary.json",
        "wandb-metadata.json",
        "probe.json",
        "evaluation.json",
        "discarded.jsonl",  # rows of vaelab train that a resume computed again
    )
)
SKIPPED_FOLDERS = frozenset(
    ("__pycache__", "node_modules", "site-packages", "checkpoints", "ckpt", "images", "samples", "previews", "report")
)
# folders that hold one kind of log of the run in the folder above
VIEW_FOLDERS = pattern(
    r"^(tensorboard|tb|tf|tb_logs|testtube|lightning_logs|csv|csv_logs|logs?|events|runs?|wandb|version_\d+)$", re.I
)
VERSION = pattern(r"^version_\d+$")
# W&B's folder of one start of a run, the last part is the run's id; and its link to the newest one
WANDB_FOLDER = pattern(r"^(?:(?:offline-)?run-\d{8}_\d{6}-(?P<id>.+)|latest-run)$")
WANDB_PARTS = frozenset(("files", "logs"))
MOST_DEPTH = 64  # of folders; deeper ones are not looked at
# TensorBoard writers for training and validation that stand side by side
SPLIT_FOLDERS = frozenset(("train", "training", "val", "valid", "validation", "eval", "test"))
CONFIG_NAMES = ("config.yaml", "derived.yaml", "config.yml", "hparams.yaml")
CONFIG_LIMIT = 1 << 20  # bytes


def is_event_file(path: Path) -> bool:
    return "tfevents" in path.name


def candidates(top: Path) -> list[Path]:
    """Files below ``top`` that may be logs, by name; hidden ones are left out."""
    found = []
    for where, folders, files in os.walk(top):
        if is_run_folder(folders, files):
            folders.clear()
            files = [META]
        depth = len(Path(where).parts) - len(top.parts)
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f.lower() not in SKIPPED_FOLDERS)
        if depth >= MOST_DEPTH:
            folders.clear()
        for name in sorted(files):
            path = Path(where, name)
            if _may_be_log(path) and path.is_file():  # a pipe would be waited on for ever
                found.append(path)
    return found


def _may_be_log(path: Path) -> bool:
    if path.name == META:
        return path.with_name("metrics").is_dir()
    if path.name.startswith(".") or path.name in NOT_LOGS or _is_wandbs_own(path):
        return False
    numbered = is_event_file(path) or re.fullmatch(r"\.\d+", path.suffix)  # train.log.1
    return bool(numbered) or path.suffix.lower() in LOG_SUFFIXES


def _is_wandbs_own(path: Path) -> bool:
    """Whether it is a log of the wandb process, not of the run."""
    beside = path.parent.name == "wandb" or WANDB_FOLDER.match(path.parent.parent.name)
    return bool(beside) and path.name.startswith("debug")


def run_folder(path: Path, top: Path) -> tuple[Path, str]:
    """``(folder of the run that the log at path is a view of, its version)``; not above ``top``.

    The version tells runs of one folder apart: Lightning's ``version_N``, or the id of a W&B run; "" for other logs.
    """
    folder, version = path.parent, ""
    if path.suffix == ".zip" and path.with_suffix("").is_dir():  # ClearML packs the folder that it has written
        folder = path.with_suffix("")
    if is_event_file(path) and folder != top and folder.name.lower() in SPLIT_FOLDERS:
        folder = folder.parent
    if folder != top and folder.name in WANDB_PARTS and WANDB_FOLDER.match(folder.parent.name):
        folder = folder.parent
    if match := WANDB_FOLDER.match(folder.name):
        # a second start within one second gets the folder <time>-<id>-1; the file keeps the id
        files = sorted(folder.glob("run-*.wandb"))
        version = files[0].stem.removeprefix("run-") if files else match["id"] or ""
        folder = folder if folder == top else folder.parent
    while folder != top and VIEW_FOLDERS.match(folder.name):
        if VERSION.match(folder.name):
            version = folder.name
        folder = folder.parent
    return folder, version


def is_version(version: str) -> bool:
    """Whether a version is Lightning's ``version_N``, and not the id of a W&B run."""
    return bool(VERSION.match(version))


def is_aim_repository(folder: Path) -> bool:
    return folder.name == ".aim" or (folder / ".aim").is_dir()


def tag_prefix(path: Path) -> str:
    """``val/`` for an event file in a folder ``validation`` beside others, and so on; empty for training."""
    name = path.parent.name.lower()
    return f"{name}/" if name in SPLIT_FOLDERS - {"train", "training"} else ""


def declared_beside(folders: Iterable[Path], every_yaml: bool) -> tuple[dict[str, Any], list[str]]:
    """Config values from YAML files in ``folders`` under their flat names, and the files they come from.

    Only files with a key that vaelab knows count. ``every_yaml``: any ``*.yaml``, not only ``CONFIG_NAMES`` and ``*project.yaml``.
    """
    config: dict[str, Any] = {}
    used = []
    for folder in dict.fromkeys(folders):
        # Lightning scripts in latent-diffusion's way write <time>-project.yaml
        names = [*(folder / name for name in CONFIG_NAMES), *sorted(folder.glob("*project.yaml"))]
        if every_yaml:
            names += sorted([*folder.glob("*.yaml"), *folder.glob("*.yml"), *folder.glob("configs/*.yaml")])
        for path in dict.fromkeys(names):
            declared = _load(path)
            if dialects.canonical_config(declared) or declared_roles(declared):
                config = {**declared, **config}
                used.append(str(path))
    return config, used


def _load(path: Path) -> Mapping[str, Any]:
    try:
        return flatten(parse_config_text(read_text(path, errors="replace", limit=CONFIG_LIMIT)))
    except OSError:
        return {}

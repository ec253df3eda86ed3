"""What a run writes in its folder: metrics.jsonl (unsmoothed rows), events.jsonl, config.yaml, derived.yaml, console.log.

Every line is on the disk as soon as it is written. A resumed run takes out the rows that come after its checkpoint: they
will be computed again. They are kept in ``discarded.jsonl``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import yaml

from vaelab.config import TrainConfig
from vaelab.config.load import dump_config, load_config
from vaelab.errors import ConfigError, TrainError
from vaelab.training.trackers import open_trackers

METRICS, EVENTS, CONFIG, CONSOLE = "metrics.jsonl", "events.jsonl", "config.yaml", "console.log"
# what follows from the settings and the data: shapes, samples a step, steps an epoch
DERIVED = "derived.yaml"
# what the console line shows, if logged
SHOWN = (
    "lr", "total_loss", "nll_loss", "rec_loss", "perceptual_loss", "kl_loss", "d_weight", "g_loss", "disc_loss",
    "logits_real", "logits_fake", "grad_norm", "disc_grad_norm", "val/psnr", "val/lpips",
)  # fmt: skip


class RunLog:
    """The log of one run; only rank 0 has one.

    first_step: step of the first row that will be written; rows at or after it are moved aside. derived: for derived.yaml.
    ``changed`` says which settings the config.yaml that was there held otherwise: it is written anew.

    Raises TrainError if the folder cannot be written.
    """

    def __init__(self, folder: Path, config: TrainConfig, first_step: int, derived: Mapping[str, Any]) -> None:
        self.folder, self.total = folder, config.run.steps
        settings = config.model_dump(mode="json")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.changed = _changed(folder / CONFIG, settings)
            if self.changed or not (folder / CONFIG).exists():
                (folder / CONFIG).write_text(dump_config(config), encoding="utf-8")
            (folder / DERIVED).write_text(yaml.safe_dump(dict(derived), sort_keys=False), encoding="utf-8")
            self.discard_from(first_step)
            self._open()
        except OSError as error:
            raise TrainError(
                f"cannot write the run's log in {folder}: {error.strerror or error}. Choose another folder with --output, or"
                " make room."
            ) from None
        self._trackers = open_trackers(list(config.run.trackers), folder, config.name, settings, first_step)

    def row(self, step: int, epoch: int, values: Mapping[str, float], steps_per_epoch: int) -> None:
        """One logged step."""
        record = {"step": step, "epoch": epoch, "time": round(time.time(), 3), **values}
        self._write(self._metrics, json.dumps(record))
        self._write(self._console, console_line(step, epoch, values, steps_per_epoch))
        for tracker in self._trackers:
            tracker.log(step, values)

    def event(self, kind: str, step: int, **details: Any) -> None:
        """Something that happened: ``start``, ``resume``, ``checkpoint``, ``quarantined``, ``non_finite``, ``rollback`` ..."""
        self._write(self._events, json.dumps({"step": step, "time": round(time.time(), 3), "event": kind, **details}))

    def discard_from(self, step: int) -> int:
        """Move rows at or after ``step`` to discarded.jsonl; returns how many."""
        path = self.folder / METRICS
        if not path.exists():
            return 0
        kept: list[str] = []
        dropped: list[str] = []
        for line in path.read_text("utf-8", "replace").splitlines():
            (kept if _step_of(line) < step else dropped).append(line)
        if dropped:
            with (self.folder / "discarded.jsonl").open("a", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in dropped)
            temporary = path.with_suffix(".part")
            temporary.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            temporary.replace(path)
        return len(dropped)

    def go_back(self, step: int) -> None:
        """Take out the rows at or after ``step``, as a rollback does, and go on writing."""
        self._close_files()
        self.discard_from(step)
        self._open()

    def close(self) -> None:
        self._close_files()
        for tracker in self._trackers:
            tracker.close()

    def _open(self) -> None:
        self._metrics, self._events, self._console = (
            (self.folder / name).open("a", encoding="utf-8", buffering=1) for name in (METRICS, EVENTS, CONSOLE)
        )

    def _close_files(self) -> None:
        for file in (self._metrics, self._events, self._console):
            file.close()

    def _write(self, file: TextIO, line: str) -> None:
        try:
            file.write(line + "\n")
        except OSError as error:
            raise TrainError(
                f"cannot write {file.name}: {error.strerror or error}. Make room and go on with: vaelab resume {self.folder}"
            ) from None


def console_line(step: int, epoch: int, values: Mapping[str, float], steps_per_epoch: int) -> str:
    """``Epoch: [e]  [ i/n]  key: value ...`` as MetricLogger prints it; the values are those of this step."""
    width = len(str(steps_per_epoch))
    shown = [f"{name}: {values[name]:.6g}" for name in SHOWN if name in values]
    place = f"Epoch: [{epoch}]  [{step - epoch * steps_per_epoch:>{width}}/{steps_per_epoch}]"
    return "  ".join(
        [place, *shown, f"time: {values.get('step_time', 0.0):.4f}", f"data: {values.get('data_time', 0.0):.4f}"]
    )


def _step_of(line: str) -> float:
    """A line that a crash cut off counts as one of the last rows: it is computed again."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")


def _changed(path: Path, settings: Mapping[str, Any]) -> str:
    """``loss.kl_weight 1e-06 -> 1e-05, ...`` where the settings in ``path`` are others; empty where it is missing."""
    if not path.exists():
        return ""
    try:
        before = _flat(load_config(str(path)).model_dump(mode="json"))
    except ConfigError:
        return "config.yaml was not readable and is written anew"
    return ", ".join(
        f"{key} {before.get(key)} -> {value}" for key, value in _flat(settings).items() if before.get(key) != value
    )


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for section, part in settings.items():
        flat |= (
            {f"{section}.{name}": value for name, value in part.items()}
            if isinstance(part, Mapping)
            else {section: part}
        )
    return flat

"""What is known about one run of the fault bench: the planted fault, its onset and how it was verified.

`truth.json` lies beside the log in `logs/<recipe>-<seed>/`.  Steps count optimizer steps of the autoencoder from 0,
as the log does.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

FILE_NAME = "truth.json"
KINDS = ("faulty", "healthy", "harmless")
DIALECTS = ("vaelab", "pyramid_flow", "radiodiff", "lightning", "tensorboard")


class TruthError(ValueError):
    """A truth file does not say what it has to."""


@dataclass(frozen=True)
class Verified:
    """A number of the run against the same number of its healthy twin (same system, seed and length)."""

    what: str
    """The quantity in plain words, for example "held-out clean MSE at the end"."""
    fault_value: float | None
    """None stands for NaN or infinity, which JSON cannot hold."""
    twin_value: float | None
    ratio: float | None
    """fault_value / twin_value; None where it says nothing."""
    present: bool
    """Whether the number proves that the planted fault acts (for a healthy run: that nothing is damaged)."""


@dataclass(frozen=True)
class Truth:
    """The label of one run."""

    id: str
    """Recipe id, for example "kl-too-big"; the folder is `<id>-<seed>`."""
    kind: str
    """"faulty", "healthy" (a look-alike or a plain run) or "harmless": planted, but the numbers show no damage."""
    causes: tuple[str, ...]
    """Accepted cause ids, rows of the fault catalogue ("C2"); empty for healthy and harmless runs."""
    also_accepted: tuple[str, ...]
    """Causes that the log alone cannot tell from `causes`."""
    onset_step: int | None
    """The first step that the fault acts on; None for healthy runs."""
    steps: int
    """Length of the run in steps."""
    system: str
    """"video", "radio", "rgb" and so on."""
    dialect: str
    seed: int
    log: str
    """The file or folder to diagnose, relative to the folder of the truth file."""
    verified: Verified
    relabelled: bool = False
    """True where the kind was changed after the verification."""
    diverges: bool = False
    """True where the unsmoothed reconstruction term grows without return or becomes NaN."""
    doubled_step: int | None = None
    """Diverging runs: the first step after onset at which the unsmoothed reconstruction term (mean of 5 steps) is at
    least twice the healthy twin's, or not finite."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TruthError(f"{self.id}: kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        if self.dialect not in DIALECTS:
            raise TruthError(f"{self.id}: dialect is {self.dialect!r}; it must be one of {', '.join(DIALECTS)}")
        if self.kind == "faulty" and (not self.causes or self.onset_step is None):
            raise TruthError(f"{self.id}: a faulty run needs a cause and an onset step")
        if self.kind == "faulty" and not self.verified.present:
            raise TruthError(f"{self.id}: the fault was not proved to be present; relabel the run as harmless")
        if self.kind != "faulty" and (self.causes or self.onset_step is not None):
            raise TruthError(f"{self.id}: a {self.kind} run has no cause and no onset step")
        if self.onset_step is not None and not 0 <= self.onset_step < self.steps:
            raise TruthError(f"{self.id}: onset step {self.onset_step} is outside the run of {self.steps} steps")

    @property
    def accepted(self) -> frozenset[str]:
        """Every cause id that counts as right."""
        return frozenset(self.causes) | frozenset(self.also_accepted)

    @property
    def name(self) -> str:
        return f"{self.id}-{self.seed}"

    @property
    def faulty(self) -> bool:
        return self.kind == "faulty"

    def save(self, folder: Path) -> Path:
        """Writes `truth.json` into `folder` (made when absent) and returns its path."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / FILE_NAME
        path.write_text(json.dumps(_plain(asdict(self)), indent=1, allow_nan=False) + "\n")
        return path


def load(folder: Path) -> Truth:
    """The truth of the run in `folder`.  Raises TruthError where the file contradicts itself."""
    data = json.loads((folder / FILE_NAME).read_text())
    try:
        data["verified"] = Verified(**data["verified"])
        for key in ("causes", "also_accepted"):
            data[key] = tuple(data[key])
        return Truth(**data)
    except (KeyError, TypeError) as error:
        raise TruthError(f"{folder.name}: the truth file does not fit the format: {error}") from error


def load_all(root: Path) -> list[tuple[Path, Truth]]:
    """(folder, truth) of every run below `root`, by name."""
    return [(path.parent, load(path.parent)) for path in sorted(root.glob(f"*/{FILE_NAME}"))]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value

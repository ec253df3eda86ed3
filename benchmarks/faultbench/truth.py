"""What is known about each run of the fault bench: `truth.jsonl.gz`, one line a run, in the order of the seeds.

Steps count optimizer steps of the autoencoder from 0, as the log does.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILE = HERE / "truth.jsonl.gz"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vaelab-faultbench"
RUNS = CACHE / "runs"
"""Folder of the runs' folders; logs are not kept in the repository."""
KINDS = ("faulty", "passed", "harmless", "healthy", "undecided")


class TruthError(ValueError):
    """A line of the truth file contradicts itself."""


@dataclass(frozen=True)
class Planted:
    """One fault of a run. onset: the first step that it acts on. end: the step after its last."""

    mechanism: str
    severity: float
    onset: int
    end: int
    causes: tuple[str, ...]
    also: tuple[str, ...]
    """Causes that the log alone cannot tell from `causes`."""


@dataclass(frozen=True)
class Truth:
    """The label of one run."""

    name: str
    """"own-<seed>", or "<trainer>/<fault>-<seed>" of a trainer that is not ours."""
    kind: str
    """"faulty": a planted fault cost something at the end of the run. "passed": it cost something for a while. "harmless": it
    cost nothing that was measured. "healthy": nothing was planted. "undecided": nothing was planted, but the run learned nothing;
    it is not scored."""
    split: str
    """"tune" may be looked at; "final" is scored once."""
    faults: tuple[Planted, ...]
    steps: int
    system: str
    dialect: str
    log: str
    """The file or folder to diagnose, relative to the folder of the run."""
    lookalike: str = ""
    costs: tuple[tuple[str, float], ...] = ()
    """What the faults cost at the end, by the names of `harm.COSTS`."""
    lost_db: float = 0.0
    """dB of held-out PSNR that are missing at the end."""
    worst_db: float = 0.0
    """The same at its worst moment."""
    doubled_step: int | None = None
    """Diverging runs: the first step at which the reconstruction loss (mean of 5 steps) is twice the twin's for good."""
    held_out: str = ""
    """Why the run belongs to the final part: "mechanism", "system", "seed" or "trainer"."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise TruthError(f"{self.name}: kind is {self.kind!r}; it must be one of {', '.join(KINDS)}")
        planted = self.kind in ("faulty", "passed", "harmless")
        if planted != bool(self.faults):
            raise TruthError(
                f"{self.name}: a {self.kind} run has {'a planted fault' if planted else 'none'}, here are {len(self.faults)}"
            )
        for fault in self.faults:
            if not 0 <= fault.onset < fault.end <= self.steps:
                raise TruthError(
                    f"{self.name}: {fault.mechanism} acts from {fault.onset} to {fault.end} in a run of {self.steps} steps"
                )

    @property
    def faulty(self) -> bool:
        return self.kind == "faulty"

    @property
    def onset_step(self) -> int | None:
        """First step of the first fault."""
        return self.faults[0].onset if self.faults else None

    @property
    def accepted(self) -> frozenset[str]:
        """Every cause id that counts as right."""
        return frozenset(c for fault in self.faults for c in (*fault.causes, *fault.also))


def save(truths: Iterable[Truth], path: Path = FILE) -> None:
    """All truths in one file, the same bytes for the same truths."""
    lines = [
        json.dumps(_short(asdict(truth)), allow_nan=False) for truth in sorted(truths, key=lambda t: _order(t.name))
    ]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))


def load(path: Path = FILE) -> list[Truth]:
    """Raises TruthError for a line that does not fit."""
    return [parsed(json.loads(line)) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]


def parsed(data: dict[str, Any]) -> Truth:
    try:
        faults = tuple(
            Planted(**f | {"causes": tuple(f["causes"]), "also": tuple(f["also"])}) for f in data.pop("faults", ())
        )
        costs = tuple((name, value) for name, value in data.pop("costs", ()))
        return Truth(faults=faults, costs=costs, **data)
    except (KeyError, TypeError) as error:
        raise TruthError(f"{data.get('name', '?')}: the truth does not fit the format: {error}") from error


def _order(name: str) -> tuple[str, int]:
    head, _, number = name.rpartition("-")
    return head, int(number)


def _short(data: dict[str, Any]) -> dict[str, Any]:
    """Without what has its usual value, and with few digits."""
    return {key: _rounded(value) for key, value in data.items() if value not in ("", (), None, 0.0)}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, (tuple, list)):
        return [_rounded(item) for item in value]
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return value

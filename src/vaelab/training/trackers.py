"""Where the rows of a run also go: TensorBoard, W&B, trackio, MLflow. Each is one small class over the real library."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from vaelab.errors import TrainError


class Tracker(Protocol):
    """Takes the rows of one run."""

    def log(self, step: int, row: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoard:
    """Event files in ``tensorboard/``; a resumed run hides the points after its checkpoint."""

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any], first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(str(folder / "tensorboard"), purge_step=first_step or None)

    def log(self, step: int, row: Mapping[str, float]) -> None:
        for name, value in row.items():
            self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class Wandb:
    """W&B; the library's own settings (WANDB_MODE, WANDB_PROJECT ...) apply."""

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any], first_step: int) -> None:
        import wandb

        self.run = wandb.init(name=name, dir=str(folder), config=dict(config), id=_stable_id(folder), resume="allow")

    def log(self, step: int, row: Mapping[str, float]) -> None:
        self.run.log(dict(row), step=step)

    def close(self) -> None:
        self.run.finish()


class Trackio:
    """trackio, local first."""

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any], first_step: int) -> None:
        import trackio

        self.trackio = trackio
        trackio.init(project="vaelab", name=f"{name}-{_stable_id(folder)}", config=dict(config), resume="allow")

    def log(self, step: int, row: Mapping[str, float]) -> None:
        self.trackio.log({name: value for name, value in row.items() if math.isfinite(value)}, step=step)

    def close(self) -> None:
        self.trackio.finish()


class MLflow:
    """MLflow; MLFLOW_TRACKING_URI says where."""

    def __init__(self, folder: Path, name: str, config: Mapping[str, Any], first_step: int) -> None:
        import mlflow

        self.mlflow = mlflow
        mlflow.start_run(run_name=name)
        mlflow.log_dict(dict(config), "config.yaml")

    def log(self, step: int, row: Mapping[str, float]) -> None:
        self.mlflow.log_metrics(dict(row), step=step)

    def close(self) -> None:
        self.mlflow.end_run()


TRACKERS: dict[str, Callable[[Path, str, Mapping[str, Any], int], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "trackio": Trackio,
    "mlflow": MLflow,
}


def open_trackers(
    names: list[str], folder: Path, name: str, config: Mapping[str, Any], first_step: int
) -> list[Tracker]:
    """The trackers called ``names``. Raises TrainError where a library is missing or refuses to start."""
    opened: list[Tracker] = []
    for kind in names:
        try:
            opened.append(TRACKERS[kind](folder, name, config, first_step))
        except ImportError as error:
            raise TrainError(
                f"run.trackers names {kind}, but {error.name or kind} is not installed here: pip install {kind}, or"
                " run.trackers=[]"
            ) from None
        except Exception as error:
            raise TrainError(
                f"{kind} did not start ({error}). Mend its settings, or leave it out: run.trackers=[]"
            ) from None
    return opened


def _stable_id(folder: Path) -> str:
    """The same for every start of the run in ``folder``, so that a resumed run goes on in the tracker too."""
    from hashlib import sha256

    return sha256(str(folder.resolve()).encode()).hexdigest()[:8]

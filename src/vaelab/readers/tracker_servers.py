"""Runs on a server of W&B or MLflow, fetched by the tracker's own client: every logged row, none sampled.

The login is that of the client: ``wandb login`` or WANDB_API_KEY, MLFLOW_TRACKING_USERNAME and so on.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from vaelab.errors import LogError
from vaelab.patterns import pattern
from vaelab.readers import tracked
from vaelab.readers.addresses import shown
from vaelab.readers.remote import Copy, Progress

PAGE = 10_000  # rows of W&B's history in one answer
PATIENCE = 30  # seconds to wait for an answer

_WANDB = pattern(
    r"(?:wandb://|https?://[^/]+/)([^/?#]+)/([^/?#]+)/(?:runs/)?([^/?#]+)/?(?:(?:overview|workspace|logs|files).*)?(?:[?#].*)?"
)
_MLFLOW_PAGE = pattern(r"(?:mlflow\+)?(https?://.+?)/?#/(?:experiments/([^/?#]+))?(?:/?runs/([^/?#]+))?.*")
_MLFLOW_RUN = pattern(r"mlflow://([^/?#]+)/?")


class WandbCopy(Copy):
    """One run, ``wandb://entity/project/run`` or the address of its page.

    Raises LogError if the address names no run, ImportError without the client.
    """

    def __init__(self, address: str) -> None:
        match = _WANDB.fullmatch(address)
        if match is None:
            raise LogError(
                f"{shown(address)} names no run of W&B: write wandb://ENTITY/PROJECT/RUN_ID, or the address of the run's page."
            )
        _installed("wandb", address)
        self._run = "/".join(match.groups())
        super().__init__(address, "wandb://", self._run)
        self.shown = f"wandb://{self._run}"
        self._reached, self._header = -1, b""  # the last step that is in the copy

    def _fetch(self, progress: Progress | None) -> None:
        import wandb

        try:
            run = wandb.Api(timeout=PATIENCE).run(self._run)
        except wandb.errors.UsageError as error:
            raise LogError(
                f"{self.shown} was not read: no login was found. Run wandb login, or set WANDB_API_KEY."
            ) from error
        except ValueError as error:
            raise LogError(f"{self.shown} does not exist, or your login may not see it: check the address.") from error
        config = {key: value for key, value in dict(run.config).items() if not key.startswith("_")}
        header = tracked.header(tracked.WANDB, str(run.name or ""), str(run.state), config)
        reached = self._reached

        def lines() -> Iterator[bytes]:
            nonlocal reached
            for row in run.scan_history(page_size=PAGE, min_step=self._reached + 1):
                reached = max(reached, int(row.get("_step", reached)))
                yield json.dumps(row, default=str).encode() + b"\n"

        new = lines()
        first = next(new, b"")
        if first or header != self._header:
            _rewrite(Path(self.path), header, chain([first], new), keep=bool(self._header))
            self._reached, self._header = reached, header


class MlflowCopy(Copy):
    """One run, or all runs of an experiment: the address of their page in MLflow, or ``mlflow://RUN_ID`` on the server that
    MLFLOW_TRACKING_URI names.

    Raises LogError if the address names neither, ImportError without the client.
    """

    def __init__(self, address: str) -> None:
        page, run = _MLFLOW_PAGE.fullmatch(address), _MLFLOW_RUN.fullmatch(address)
        self._experiment = page[2] if page else None
        self._run = page[3] if page else run[1] if run else None
        if not (self._experiment or self._run):
            raise LogError(
                f"{shown(address)} names no run of MLflow: write mlflow+http://HOST:PORT/#/experiments/1/runs/RUN_ID, or "
                "mlflow://RUN_ID and set MLFLOW_TRACKING_URI."
            )
        if run and not os.environ.get("MLFLOW_TRACKING_URI"):
            raise LogError(f"{shown(address)} names no server: set MLFLOW_TRACKING_URI to its address.")
        _installed("mlflow", address)
        self._server = page[1] if page else None
        prefix = _mlflow_prefix(page)
        super().__init__(address, prefix, self._run or "")
        self.shown = f"{prefix}{self._run}" if self._run else prefix.removesuffix("/runs/")
        self._seen: dict[str, object] = {}

    def _fetch(self, progress: Progress | None) -> None:
        from mlflow import MlflowClient

        with _patience():
            client = MlflowClient(tracking_uri=self._server)
            for run in [client.get_run(self._run)] if self._run else self._runs_of(client):
                now = (run.info.status, sorted(run.data.metrics.items()), run.data.params)
                if repr(now) == self._seen.get(run.info.run_id):
                    continue
                points = [p for key in run.data.metrics for p in client.get_metric_history(run.info.run_id, key)]
                points.sort(key=lambda point: point.timestamp)
                kept = ({"key": p.key, "step": p.step, "value": p.value} for p in points)
                name = "" if self._run else run.info.run_name
                header = tracked.header(tracked.MLFLOW, name or "", run.info.status, run.data.params)
                lines = (json.dumps(point).encode() + b"\n" for point in kept)
                _rewrite(self.folder / run.info.run_id, header, lines, keep=False)
                self._seen[run.info.run_id] = repr(now)

    def _runs_of(self, client: Any) -> Iterator[Any]:
        token = None
        while True:
            page = client.search_runs([self._experiment], max_results=100, page_token=token)
            yield from (run for run in page if run.data.metrics)
            token = page.token
            if not token:
                return


def _mlflow_prefix(page: re.Match[str] | None) -> str:
    if page is None:
        return "mlflow://"
    experiment = f"experiments/{page[2]}/" if page[2] else ""
    return f"{shown(f'mlflow+{page[1]}')}/#/{experiment}runs/"


def _installed(client: str, address: str) -> None:
    """Raises LogError without the tracker's client."""
    try:
        __import__(client)
    except ImportError:
        raise LogError(f"{shown(address)} is read with the client of its tracker: pip install {client}.") from None


@contextmanager
def _patience() -> Iterator[None]:
    """MLflow's client tries for minutes to reach a server unless told otherwise, which it takes from the environment only."""
    names = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": str(PATIENCE)}
    ours = {name: value for name, value in names.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _rewrite(path: Path, header: bytes, lines: Iterable[bytes], keep: bool) -> None:
    """Write a run anew; keep: with the lines that are there already before the new ones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    with new.open("wb") as file:
        file.write(header)
        if keep:
            with path.open("rb") as old:
                old.readline()
                while block := old.read(1 << 20):
                    file.write(block)
        file.writelines(lines)
    new.replace(path)

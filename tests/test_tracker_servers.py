"""Runs on a tracker's server: MLflow's own server on loopback; W&B by a stand-in for its ``wandb.Api`` as documented."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import mlflow_server
from remote_servers import free_port
from vaelab.cli.app import app
from vaelab.errors import LogError
from vaelab.live import Watcher
from vaelab.readers import read, read_all
from vaelab.readers.source import Source
from vaelab.readers.tracked import MLFLOW_READER, WANDB_READER, header

# MLflow ----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Any, str]]:
    """The address of a server, a client of it and the id of an experiment."""
    with mlflow_server.serving(tmp_path_factory.mktemp("mlflow")) as address:
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=address)
        yield address, client, client.create_experiment("vae")


def start_run(client: Any, experiment: str, steps: int, status: str = "FINISHED") -> str:
    from mlflow.entities import Metric, Param

    run = client.create_run(experiment, run_name=f"run of {steps}").info.run_id
    points = [Metric("train/rec_loss", 1 / (i + 1), 1000 + i, i) for i in range(steps)]
    points += [Metric("kl_loss", math.nan if i == 3 else 100.0 + i, 1000 + i, i) for i in range(0, steps, 3)]
    client.log_batch(run, points[:1000], [Param("loss/kl_weight", "1e-6")])
    client.log_batch(run, points[1000:])
    client.log_metric(run, "system/cpu", 1.0, step=0)
    if status != "RUNNING":
        client.set_terminated(run, status)
    return str(run)


def test_a_run_of_mlflow_by_its_address(mlflow: tuple[str, Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    server, client, experiment = mlflow
    run_id = start_run(client, experiment, 1200)
    page = f"{server}/#/experiments/{experiment}/runs/{run_id}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    for address in (page, f"mlflow+{page}", f"{page}/model-metrics?tab=1", f"mlflow://{run_id}"):
        run = read(address)
        assert np.array_equal(run.steps, np.arange(1200))
        assert np.allclose(run["rec_loss"], 1 / (np.arange(1200) + 1))
        assert int(run.columns["kl_loss"].logged.sum()) == 400 and np.isnan(run["kl_loss"][3])
        assert run.config["kl_weight"] == 1e-6
        assert [event.kind for event in run.events] == ["finished"]
        assert run.source == (address if address.startswith("mlflow:") else f"mlflow+{page}")
    assert "mlflow+http" in CliRunner().invoke(app, ["diagnose", page]).stdout


def test_all_runs_of_an_experiment(mlflow: tuple[str, Any, str]) -> None:
    server, client, _ = mlflow
    experiment = client.create_experiment("two")
    ids = {start_run(client, experiment, n, status): n for n, status in ((20, "FAILED"), (30, "FINISHED"))}
    runs = read_all(f"mlflow+{server}/#/experiments/{experiment}")
    named = {f"mlflow+{server}/#/experiments/{experiment}/runs/{run_id}[run of {n}]" for run_id, n in ids.items()}
    assert {run.source for run in runs} == named
    assert sorted(event.kind for run in runs for event in run.events) == ["crash", "finished"]


def test_a_run_of_mlflow_is_watched(mlflow: tuple[str, Any, str]) -> None:
    server, client, experiment = mlflow
    run_id = start_run(client, experiment, 20, "RUNNING")
    watcher = Watcher([f"mlflow+{server}/#/experiments/{experiment}/runs/{run_id}"], clock=lambda: 0.0)
    watcher.poll()
    (run,) = watcher.runs.values()
    assert (run.problem, run.step, run.finished) == (None, 19, False)
    client.log_metric(run_id, "train/rec_loss", 0.01, step=20)
    client.set_terminated(run_id)
    watcher.poll()
    assert (run.problem, run.step, run.finished) == (None, 20, True)


def test_what_goes_wrong_with_mlflow(mlflow: tuple[str, Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    server, client, experiment = mlflow
    page = f"mlflow+{server}/#/experiments/{experiment}/runs"
    empty = client.create_run(experiment).info.run_id
    nobody = f"mlflow+http://me:hidden-word@127.0.0.1:{free_port()}/#/experiments/1/runs/abc"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for address, words in {
        f"{page}/0123456789abcdef0123456789abcdef": "does not exist",
        f"{page}/{empty}": "there is no metric in it yet",
        nobody: "the server cannot be reached",
        f"mlflow+{server}": "names no run of MLflow: write mlflow+http://HOST:PORT",
        "mlflow://abc": "set MLFLOW_TRACKING_URI",
    }.items():
        with pytest.raises(LogError, match=re.escape(words)) as raised:
            read(address)
        assert "hidden-word" not in str(raised.value) and "\n" not in str(raised.value)
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "0"
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ


# W&B -------------------------------------------------------------------------------------------------------------------


class Api:
    """What is used of ``wandb.Api``: ``run(path)`` with ``name``, ``state``, ``config`` and ``scan_history``."""

    rows: list[dict[str, Any]] = []  # noqa: RUF012 - set by each test
    state = "running"
    scans: list[int] = []  # noqa: RUF012

    def __init__(self, timeout: float) -> None:
        assert timeout > 0

    def run(self, path: str) -> Any:
        if path != "lab/vae/abc123":
            raise ValueError(f"Could not find run <Run {path} (not found)>")

        def scan_history(page_size: int, min_step: int) -> Iterator[dict[str, Any]]:
            Api.scans.append(min_step)
            return (row for row in Api.rows if row["_step"] >= min_step)

        config = {"lr": 1e-4, "loss": {"kl_weight": 1e-6}, "_wandb": {"x": 1}}
        return SimpleNamespace(name="brave-sun-1", state=Api.state, config=config, scan_history=scan_history)


def rows(last: int) -> list[dict[str, Any]]:
    picture = {"_type": "image-file", "path": "a.png"}
    return [
        {"_step": i, "_runtime": 0.5 * i, "_timestamp": 1e9 + i, "train": {"rec_loss": 1 / (i + 1)},
         "kl_loss": "NaN" if i == 3 else 100.0 + i, "sample": picture, "epoch": i // 50}
        for i in range(0, last, 10)
    ]  # fmt: skip


@pytest.fixture
def wandb_api(monkeypatch: pytest.MonkeyPatch) -> type[Api]:
    monkeypatch.setattr("wandb.Api", Api)
    Api.rows, Api.state, Api.scans = rows(600), "finished", []
    return Api


@pytest.mark.parametrize(
    "address",
    [
        "wandb://lab/vae/abc123",
        "https://wandb.ai/lab/vae/runs/abc123",
        "https://wandb.ai/lab/vae/runs/abc123/overview?nw=nwuser",
    ],
)
def test_a_run_of_wandb_by_its_address(wandb_api: type[Api], address: str) -> None:
    run = read(address)
    assert run.source == "wandb://lab/vae/abc123" and run.format == "wandb_server"
    assert np.array_equal(run.steps, np.arange(0, 600, 10))
    assert np.allclose(run["rec_loss"], 1 / (run.steps + 1))
    assert run.config["kl_weight"] == 1e-6 and run.config["lr"] == 1e-4
    assert [event.kind for event in run.events] == ["finished"]
    assert "sample" not in run.columns and any(note.kind == "other_summaries" for note in run.notes)


def test_a_run_of_wandb_is_followed_from_its_last_step(wandb_api: type[Api]) -> None:
    wandb_api.state = "running"
    watcher = Watcher(["wandb://lab/vae/abc123"], clock=lambda: 0.0)
    watcher.poll()
    (run,) = watcher.runs.values()
    assert (run.problem, run.step, run.finished) == (None, 590, False)
    wandb_api.rows = rows(800)
    watcher.poll()
    assert run.step == 790 and len(run.run or ()) == 80
    wandb_api.state = "crashed"
    watcher.poll()
    assert run.run is not None and run.run.events[-1].kind == "crash"
    assert wandb_api.scans == [0, 591, 791]


def test_what_goes_wrong_with_wandb(wandb_api: type[Api], monkeypatch: pytest.MonkeyPatch) -> None:
    from wandb.errors import UsageError

    def refuse(timeout: float) -> None:
        raise UsageError("api_key not configured (no-tty). call wandb.login(key=[your_api_key])")

    with pytest.raises(LogError, match="wandb://lab/vae/nothere does not exist, or your login may not see it"):
        read("wandb://lab/vae/nothere")
    with pytest.raises(LogError, match="names no run of W&B: write wandb://ENTITY/PROJECT/RUN_ID"):
        read("wandb://lab/vae")
    wandb_api.rows = []
    with pytest.raises(LogError, match="nothing was logged to it yet"):
        read("wandb://lab/vae/abc123")
    monkeypatch.setattr("wandb.Api", refuse)
    with pytest.raises(LogError, match=r"no login was found\. Run wandb login, or set WANDB_API_KEY"):
        read("wandb://lab/vae/abc123")


def test_without_the_clients_one_sentence_names_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(LogError, match="wandb://a/b/c is read with the client of its tracker: pip install wandb"):
        read("wandb://a/b/c")
    with pytest.raises(LogError, match="pip install mlflow"):
        read("mlflow+http://host/#/experiments/1/runs/abc")


@pytest.mark.parametrize("reader", [WANDB_READER, MLFLOW_READER])
def test_damaged_copies_are_refused_in_a_sentence(tmp_path: Path, reader: Any) -> None:
    path = tmp_path / "abc"
    first = header(reader.name.partition("_")[0], "name", "finished", {})
    for content in (
        b"{}\n",
        b"[]\n",
        first,
        first + b"{\n",
        first + b"[1]\n",
        first + b'{"step": "x"}\n',
    ):
        path.write_bytes(content)
        with pytest.raises(LogError):
            reader.read(Source(path))

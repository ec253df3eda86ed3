"""Writes small runs with the real tracking libraries, offline: ``python write_tracker_runs.py LIBRARY FOLDER``.

A process of its own for each library: they patch other libraries as they are imported, and some start helpers.
"""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from pathlib import Path

STEPS = 30
CONFIG = {"lr": 1e-4, "loss": {"kl_weight": 1e-6, "disc_start": 50}}


def rec(i: int) -> float:
    return 1 / (i + 1)


def write(library: str, folder: Path) -> None:
    """Runs the script for ``library``."""
    # a test that ran W&B before in this process leaves the address of its service: the script starts one of its own
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "_WANDB_"))}
    environment = {**inherited, "HOME": str(folder), "WANDB_SILENT": "true", "TRACKIO_DIR": str(folder)}
    environment.pop("PYTHONPATH", None)
    command = [sys.executable, __file__, library, str(folder)]
    done = subprocess.run(command, env=environment, cwd=folder, text=True, capture_output=True)
    # that of W&B kills itself at the end
    assert done.returncode == (-signal.SIGKILL if library == "wandb" else 0), done.stdout + done.stderr


def write_wandb(folder: Path) -> None:
    """A run that was resumed under its id, one that failed, one with a step metric, one that was killed."""
    import wandb

    def session(name: str, steps: range, exit_code: int = 0) -> None:
        run = wandb.init(mode="offline", project="vae", dir=folder, id=name, name=name, config=CONFIG, resume="allow")
        for i in steps:
            row = {
                "train": {"rec_loss": rec(i), "kl_loss": 100 + i},
                "train/disc_loss": math.nan if i == 3 else math.inf if i == 4 else 1.0,
                "note": "text",
                "flag": True,
            }
            run.log(row | ({"val/psnr": 20 + i} if i % 5 == 0 else {}), step=i)
        run.log({"hist": wandb.Histogram([1.0, 2.0])}, step=steps[-1])
        run.config.update({"batch_size": 8}, allow_val_change=True)
        run.summary["test/ssim"] = 0.75
        run.finish(exit_code=exit_code)

    session("resumed", range(20))
    session("resumed", range(15, STEPS))
    session("failed", range(10), exit_code=3)

    run = wandb.init(mode="offline", project="vae", dir=folder, id="own-step")
    run.define_metric("*", step_metric="update")
    for i in range(STEPS):
        run.log({"train/rec_loss": rec(i), "update": 10 * i})
    run.finish()

    run = wandb.init(mode="offline", project="vae", dir=folder, id="killed")
    for i in range(400):
        run.log({f"train/metric_{k}": rec(i) for k in range(8)} | {"train/rec_loss": rec(i)}, step=i)
    os.kill(os.getpid(), signal.SIGKILL)


def write_mlflow(folder: Path) -> None:
    """The same runs in a file store and in a database: finished, failed, killed, running, without a metric."""
    os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # newer versions ask for it
    import mlflow

    for uri in (f"file:{folder / 'mlruns'}", f"sqlite:///{folder / 'mlflow.db'}"):
        mlflow.set_tracking_uri(uri)
        mlflow.set_experiment("vae")
        for name, steps, end in (("done", STEPS, "FINISHED"), ("failed", 5, "FAILED"), ("killed", 5, "KILLED")):
            mlflow.start_run(run_name=name)
            mlflow.log_params({"lr": 1e-4, "loss/kl_weight": 1e-6})
            for i in range(steps):
                row = {"train/rec_loss": rec(i), "kl_loss": 100.0 + i, "disc_loss": math.nan if i == 3 else math.inf}
                mlflow.log_metrics(row | {"epoch": float(i // 10)}, step=10 * i)
            mlflow.log_metric("system/cpu_utilization_percentage", 50.0, step=1)
            mlflow.end_run(end)
        with mlflow.start_run(run_name="empty"):
            pass
        with mlflow.start_run(run_name="deleted") as run:
            mlflow.log_metric("train/rec_loss", 0.5, step=3)
        mlflow.MlflowClient().delete_run(run.info.run_id)
        run = mlflow.MlflowClient().create_run(run.info.experiment_id, run_name="live")
        mlflow.MlflowClient().log_metric(run.info.run_id, "train/rec_loss", 0.5, step=3)


def write_trackio(folder: Path) -> None:
    """Two runs of one project."""
    import trackio

    for name, steps in (("first", STEPS), ("second", 5)):
        trackio.init(project="vae", name=name, config=CONFIG)
        for i in range(steps):
            row = {"train/rec_loss": rec(i), "kl_loss": 100.0 + i, "disc_loss": math.nan if i == 3 else math.inf}
            trackio.log(row | {"note": "text"}, step=10 * i)
        trackio.finish()


def write_comet(folder: Path) -> None:
    import comet_ml

    experiment = comet_ml.OfflineExperiment(
        project_name="vae", workspace="w", offline_directory=str(folder), log_code=False, log_git_metadata=False,
        log_git_patch=False, log_env_details=False, auto_output_logging=False, display_summary_level=0,
    )  # fmt: skip
    experiment.log_parameters(CONFIG)
    for i in range(STEPS):
        row = {"train/rec_loss": rec(i), "kl_loss": 100.0 + i, "disc_loss": math.nan if i == 3 else math.inf}
        experiment.log_metrics(row, step=10 * i, epoch=i // 10)
    experiment.log_metric("val/psnr", 25.0)
    experiment.end()


def write_clearml(folder: Path) -> None:
    os.environ["CLEARML_CACHE_DIR"] = str(folder)
    from clearml import Task

    Task.set_offline(True)
    task = Task.init(
        "vae", "first", auto_connect_frameworks=False, auto_resource_monitoring=False, auto_connect_streams=False
    )
    task.connect({"lr": 1e-4, "loss": {"kl_weight": 1e-6}})
    logger = task.get_logger()
    for i in range(STEPS):
        logger.report_scalar("train", "rec_loss", rec(i), 10 * i)
        logger.report_scalar("kl_loss", "kl_loss", 100.0 + i, 10 * i)
    logger.report_scalar("disc_loss", "disc_loss", math.nan, 0)
    logger.report_single_value("ssim", 0.75)
    task.close()


if __name__ == "__main__":
    globals()[f"write_{sys.argv[1]}"](Path(sys.argv[2]))

"""One small adaptor per peer, run by the Python of the environment the peers are installed in (no vaelab there).

    python peer_drivers.py PEER < request.json > answer.json

request: a list of runs {"columns": {"step": [...], "loss": [...], "grad_norm": ..., "lr": ..., "val_loss": ...},
"cuts": [rows, ...]}.  answer: per run, per cut, a list of [label, severity, step]; or {"error": text} per run.
An adaptor gives a peer the input it documents, under the names it looks for, and calls its public entry point.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

Columns = dict[str, list[Any]]
Found = list[tuple[str, str, Any]]


def write_csv(columns: Columns, folder: Path, **names: str) -> Path:
    path = folder / "run.csv"
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([names.get(name, name) for name in columns])
        for row in zip(*columns.values(), strict=True):
            writer.writerow(["" if value is None else repr(value) for value in row])
    return path


def rows(columns: Columns, **names: str) -> list[dict[str, Any]]:
    return [
        {names.get(k, k): v for k, v in zip(columns, row, strict=True) if v is not None}
        for row in zip(*columns.values(), strict=True)
    ]


def losslint(columns: Columns, folder: Path) -> Found:
    from losslint.checks import run_all_checks
    from losslint.parsing import load_run

    found = run_all_checks(load_run(write_csv(columns, folder, val_loss="eval_loss")))
    return [(f.check, f.severity, f.details.get("since_step")) for f in found]


def trainspotter(columns: Columns, folder: Path) -> Found:
    from trainspotter.detectors import run_all
    from trainspotter.readers import load_run

    found = run_all(load_run(str(write_csv(columns, folder)), fmt="csv"))
    return [(f"{f.detector}: {f.title}", f.severity, f.step_start) for f in found]


def runmedic(columns: Columns, folder: Path) -> Found:
    from runmedic import loaders, roles
    from runmedic.checks import run_checks

    runs = loaders.load(str(write_csv(columns, folder)))
    return [(f.check, f.severity, f.step) for run in runs for f in run_checks(run, roles.detect(run))]


def trainproof(columns: Columns, folder: Path) -> Found:
    from trainproof.epoch import check_epoch

    found = check_epoch(str(write_csv(columns, folder)))["findings"]
    return [(f["id"], f["level"], None) for f in found if f["level"] not in ("PASS", "NOT-CHECKED")]


def gradsnitch(columns: Columns, folder: Path) -> Found:
    import gradsnitch as package

    found = package.lint_csv(str(write_csv(columns, folder, loss="train_loss")))
    return [(f"{f.code} {f.name}", f.severity, None) for f in found]


def finetune_doctor(columns: Columns, folder: Path) -> Found:
    from finetune_doctor import diagnose, load

    history = []
    for row in rows(columns, lr="learning_rate"):
        held_out = row.pop("val_loss", None)
        history.append(row)
        if held_out is not None:
            history.append({"step": row["step"], "eval_loss": held_out})
    last = columns["step"][-1]
    path = folder / "trainer_state.json"
    path.write_text(json.dumps({"global_step": last, "max_steps": last, "log_history": history}))
    # "no eval logged" is advice on what to log, not a verdict on the run
    return [
        (f"{f.check}: {f.title}", "info" if f.check == "no_eval" else f.severity.name, None)
        for f in diagnose(load(str(path))).problems
    ]


def trainpulse(columns: Columns, folder: Path) -> Found:
    from trainpulse import Monitor

    monitor = Monitor()
    for row in rows(columns, lr="learning_rate"):
        for name in ("loss", "grad_norm", "learning_rate"):
            if name in row:
                monitor.log(name, row["step"], row[name])
    return [(a.detector, a.severity.value, a.step) for a in monitor.alerts]


def runwise(columns: Columns, folder: Path) -> Found:
    from runwise import detect_anomalies

    names = {
        key: name for key, name in (("grad_norm_key", "grad_norm"), ("val_loss_key", "val_loss")) if name in columns
    }
    return [(a.type, a.severity, a.step) for a in detect_anomalies(rows(columns), loss_key="loss", **names)]


def training_doctor(columns: Columns, folder: Path) -> Found:
    from training_doctor import Doctor

    doctor = Doctor()
    with contextlib.suppress(Exception):
        doctor.set_auto_print(False)
    doctor.load(str(write_csv(columns, folder, val_loss="eval_loss")))
    return [(d.detector_name or d.problem, d.severity.name, d.step) for d in doctor.analyze()]


def sk_autod(columns: Columns, folder: Path) -> Found:
    """It wants one value an epoch and a held-out loss of equal length: 100 means at most, and the training loss where
    no held-out loss was logged."""
    from sk_autod import diagnose

    loss = epoch_means([v for v in columns["loss"] if v is not None])
    held_out = epoch_means([v for v in columns.get("val_loss", []) if v is not None]) or loss
    n = min(len(loss), len(held_out))
    pick = [loss[round(i * (len(loss) - 1) / max(1, n - 1))] for i in range(n)]
    found = diagnose(pick, held_out[:n]).findings
    levels = {"CRITICAL": "error", "HIGH": "error", "MEDIUM": "warning"}
    return [(f.detector_name, levels.get(f.severity.value, f.severity.value), None) for f in found]


def epoch_means(values: list[float], most: int = 100) -> list[float]:
    if len(values) <= 2 * most:
        return values
    edges = [round(i * len(values) / most) for i in range(most + 1)]
    return [sum(values[a:b]) / (b - a) for a, b in zip(edges, edges[1:])]  # noqa: B905, RUF007 (Python 3.9 there)


def hyperassist(columns: Columns, folder: Path) -> Found:
    from hyperassist.log_assist import analyzer

    names = {"loss": "train_loss"}
    lines = []
    for row in rows(columns):
        values = " ".join(f"{names.get(k, k)}: {v:g}" for k, v in row.items() if k != "step")
        lines.append(f"epoch {row['step']} {values}")
    chunks, gradients = analyzer.parse_log_into_chunks(lines)
    analyzer.analyze_chunks(chunks, gradients)
    overall = analyzer.analyze_global(chunks)
    levels = {
        "instability": "error",
        "exploding_gradient": "error",
        "loss_jump": "warning",
        "vanishing_gradient": "warning",
    }
    found: Found = [(tag, levels.get(tag, "info"), c["epoch"]) for c in chunks for tag in c["tags"]]
    return found + [(key, "warning", None) for key in ("underfit", "overfit") if overall.get(key)]


def epochix(columns: Columns, folder: Path) -> Found:
    import asyncio
    import logging

    logging.disable(logging.CRITICAL)
    from epochix.sdk.parse import _parse_async
    from epochix.store.sqlite_store import RunStore
    from epochix.story_engine.warnings import standing_warnings

    log, store = folder / "train.log", folder / "runs.db"
    names = {"loss": "train_loss", "step": "epoch"}
    lines = [" ".join(f"{names.get(k, k)}={v:.8g}" for k, v in row.items()) for row in rows(columns)]
    log.write_text("\n".join(lines) + "\n")
    options = {"run_name": None, "task": None, "primary_metric": None, "locale": "en"}
    asyncio.run(_parse_async(log_path=log, run_id="r1", db=store, **options))
    warnings = [w for frame in RunStore(db_path=store).get_story_frames("r1") for w in frame.warnings]
    once = list({(w.kind, w.epoch, w.message): w for w in warnings}.values())
    levels = {"divergence": "error", "lr_drop": "info", "plateau": "info"}
    return [(w.kind, levels.get(w.kind, "warning"), w.epoch) for w in standing_warnings(once)]


ADAPTORS: dict[str, Callable[[Columns, Path], Found]] = {
    "losslint": losslint,
    "trainspotter": trainspotter,
    "runmedic": runmedic,
    "trainproof": trainproof,
    "gradsnitch": gradsnitch,
    "finetune-doctor": finetune_doctor,
    "trainpulse": trainpulse,
    "runwise": runwise,
    "sk-autod": sk_autod,
    "hyperassist": hyperassist,
    "training-doctor": training_doctor,
    "epochix": epochix,
}


def answer(peer: str, run: dict[str, Any]) -> Any:
    results = []
    for count in run["cuts"]:
        columns = {name: values[:count] for name, values in run["columns"].items()}
        with tempfile.TemporaryDirectory() as folder:
            try:
                found = ADAPTORS[peer](columns, Path(folder))
            except (Exception, SystemExit) as error:  # a refusal is an answer: it finds nothing here
                results.append({"error": f"{type(error).__name__}: {error}"[:200]})
                continue
        results.append([(str(label), str(severity).lower(), _step(step)) for label, severity, step in found])
    return results


def _step(step: Any) -> int | None:
    match = re.match(r"-?\d+", str(step)) if step is not None else None
    return int(match[0]) if match and math.isfinite(float(match[0])) else None


def main() -> None:
    peer, runs = sys.argv[1], json.load(sys.stdin)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        answers = [answer(peer, run) for run in runs]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()

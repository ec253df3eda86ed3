"""Other tools that judge training logs, on the logs of the fault bench.

    python benchmarks/faultbench/peers.py --python ENVIRONMENT/bin/python [--logs DIR] [--runs 100] [--peers a,b] [--write]

The tools are installed in an environment of their own (`peers.txt` lists them); one that is not there is skipped and
said so.  Each gets its best shot: it is given one loss under the name it looks for, with the gradient norm, the
learning rate and the held-out loss where logged, and it is scored with the loss (total, nll or reconstruction) and the
severity (warning or error) that serve it best on the tune part.  Its labels are mapped generously to causes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measures import FALSE_ALARM_RATES, Scores, scores
from replay import Judged, Verdict, replay_rows
from splits import PARTS, part_of
from truth import FILE, RUNS, Truth, load

import vaelab
from vaelab.errors import VaelabError

HERE = Path(__file__).parent
DRIVERS = HERE / "peer_drivers.py"
NAMES = (
    "losslint",
    "trainspotter",
    "runmedic",
    "trainproof",
    "gradsnitch",
    "finetune-doctor",
    "trainpulse",
    "runwise",
    "sk-autod",
    "hyperassist",
    "training-doctor",
    "epochix",
)
WITHOUT_REPLAY = ("epochix",)
"""Seconds a log: only whole logs are given to it, so it has no delay."""

VIEWS = ("total_loss", "nll_loss", "rec_loss")
SERVED = {"grad_norm": "grad_norm", "lr": "lr"}
SEVERITY = {"info": 0, "ok": 0, "low": 0, "notice": 0, "error": 2, "high": 2, "critical": 2, "fail": 2}
"""0: a note; 1 (every other word): warning; 2: error."""

MEANING: tuple[tuple[str, str], ...] = (
    ("nan", "A2 F1 F2 F3 F4 F5 F6"),
    ("finite", "A2 F1 F2 F3 F4 F5 F6"),
    ("gs001", "A2 F1 F2 F3 F4 F5 F6"),
    ("diverg", "E1 E3 D6 D7 C2 C3 F1 F2"),
    ("lr_too_high", "E1 E3"),
    ("lr too high", "E1 E3"),
    ("gs006", "E1 D6 D7"),
    ("oscillation", "E1 D6 D7"),
    ("instab", "E1 A2 E11"),
    ("explod", "E1 A2 E11 D7"),
    ("grad", "E1 A2 E4 E11 F1"),
    ("spike", "A2 E11 H3 H4 E3"),
    ("jump", "A2 A5 E11 H3 H4 E3"),
    ("overfit", "A7 D9"),
    ("val", "A7 A6"),
    ("backtrack", "H4 H3"),
    ("zero-lr", "E8 E13"),
    ("lr", "E2 E8 E13"),
    ("plateau", "E2 B8 B11 C1 E13"),
    ("stagn", "E2 B8 B11 C1 E13"),
    ("learning", "E2 B8 C1 E1"),
    ("dead-run", "E2 B8 C1 E1"),
    ("flat", "E2 B8 C1 A4"),
    ("underfit", "E2 B8 C1"),
    ("zero-loss", "A4 D1"),
    ("vanish", "E2 F8"),
    ("leak", "A6"),
    ("floor", "A4 A7"),
)
"""Part of a label -> causes it may stand for; the first that fits counts. No peer names a cause of a VAE-GAN, so this
is our reading, in the peer's favour."""


@dataclass(frozen=True)
class PeerVerdict(Verdict):
    """A peer's findings on a log; `meanings` has the causes each finding may stand for, most severe first."""

    meanings: tuple[frozenset[str], ...] = ()

    def names(self, accepted: frozenset[str], among: int) -> bool:
        return any(causes & accepted for causes in self.meanings[:among])


SHARES = ("detection", "severe", "false_act", "false_any_time", "top1", "top3", "before_doubling", "event_precision")


def meaning(label: str) -> frozenset[str]:
    low = label.lower()
    return next((frozenset(causes.split()) for part, causes in MEANING if part in low), frozenset())


def columns_of(run: vaelab.Run, view: str) -> dict[str, list[Any]]:
    """One loss as `loss`, with what else a peer may read; rows without the loss are left out."""
    keep = run.rows(view)
    columns: dict[str, list[Any]] = {"step": run.steps[keep].tolist(), "loss": run[view][keep].tolist()}
    held_out = next((m for m in (f"val/{view}", "val/rec_loss", "val/total_loss", "val/rec_mse") if m in run), None)
    for name, column in [*SERVED.items(), ("val_loss", held_out)]:
        if column and column in run:
            logged = run.columns[column].logged[keep]
            if logged.any():
                columns[name] = [v if ok else None for v, ok in zip(run[column][keep].tolist(), logged, strict=True)]
    return columns


def ask(python: Path, peer: str, requests: list[dict[str, Any]], timeout: float) -> list[Any] | str:
    """The peer's answers, or why there are none."""
    try:
        done = subprocess.run(
            [python, DRIVERS, peer], input=json.dumps(requests), capture_output=True, text=True, timeout=timeout
        )
        return json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return f"took more than {timeout:.0f} s"
    except json.JSONDecodeError:
        return (done.stderr or done.stdout)[-200:]


def installed(python: Path) -> dict[str, str]:
    """Peer -> version, of those that are there."""
    code = (
        "import importlib.metadata as m, json, sys\n"
        "found = {d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()}\n"
        f"print(json.dumps({{n: found[n] for n in {list(NAMES)!r} if n in found}}))"
    )
    return json.loads(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout)


def as_judged(truth: Truth, steps: Sequence[int], cuts: Sequence[int], answers: list[Any], least: int) -> Judged:
    """A peer's answers as verdicts; findings of severity `least` and above are an alarm."""
    points = []
    for count, found in zip(cuts, answers, strict=True):
        strong = [] if isinstance(found, dict) else [f for f in found if SEVERITY.get(f[1], 1) >= least]
        strong.sort(key=lambda f: -SEVERITY.get(f[1], 1))
        meanings = tuple(dict.fromkeys(meaning(label) for label, _, _ in strong))
        status = "act" if strong else "healthy"
        points.append(PeerVerdict(int(steps[count - 1]), status, 1.0, (), None, meanings=meanings))
    return Judged(truth, tuple(points), tuple(steps))


def judge_peer(
    python: Path, peer: str, runs: Sequence[tuple[Truth, vaelab.Run | None]], timeout: float
) -> tuple[dict[tuple[str, int], list[Judged]], str]:
    """(view, severity) -> judged runs, and a remark: why a view is missing, how many logs were refused."""
    result: dict[tuple[str, int], list[Judged]] = {}
    remark = ""
    for view in VIEWS:
        asked: list[tuple[Truth, list[int], list[int]]] = []
        requests: list[dict[str, Any]] = []
        for truth, run in runs:
            column = next((c for c in (view, *VIEWS) if run is not None and len(run.rows(c))), None)
            columns: dict[str, list[Any]] = {"step": [0], "loss": [0.0]}
            if run is not None and column:
                columns = columns_of(run, column)
            steps = columns["step"]
            cuts = [len(steps)] if peer in WITHOUT_REPLAY else replay_rows(steps, truth)
            asked.append((truth, steps, cuts))
            requests.append({"columns": columns, "cuts": cuts})
        answers = ask(python, peer, requests, timeout)
        if isinstance(answers, str):
            remark = f"{view}: {answers}"
            continue
        refused = [found[-1]["error"] for found in answers if isinstance(found[-1], dict)]
        if refused:
            remark = f"{view}: {len(refused)} of {len(answers)} whole logs refused, the first with {refused[0]}"
        for least in (1, 2):
            result[view, least] = [as_judged(*a, found, least) for a, found in zip(asked, answers, strict=True)]
    return result, remark


def _read(path: Path) -> vaelab.Run | None:
    try:
        return vaelab.read(path)
    except VaelabError:
        return None


def best_shot(views: dict[tuple[str, int], list[Judged]]) -> tuple[str, int]:
    """The view and severity with the most detections less false alarms on the tune part."""

    def worth(key: tuple[str, int]) -> tuple[float, float]:
        s = scores(r for r in views[key] if r.truth.split == "tune")
        return float(np.nan_to_num(s.detection.value)) - float(np.nan_to_num(s.false_act.value)), s.top1.hits

    return max(views, key=worth)


def summary(name: str, version: str, views: dict[tuple[str, int], list[Judged]]) -> dict[str, Any]:
    """One row of peers.json: the scores of both parts at the peer's best shot, and the soonest that any of its views and severities
    is at a rate of false alarms."""
    view, least = best_shot(views)
    row: dict[str, Any] = {"peer": name, "version": version, "loss": view, "severity": ("", "warning", "error")[least]}
    for part in ("final", "tune"):
        row[part] = as_row(scores(r for r in views[view, least] if r.truth.split == part))
        row[part]["replayed"] = name not in WITHOUT_REPLAY
        every = [scores(r for r in judged if r.truth.split == part) for judged in views.values()]
        row[part]["at_rate"] = [soonest(every, rate) for rate in FALSE_ALARM_RATES]
    return row


def soonest(every: Sequence[Scores], rate: float) -> float | None:
    """The shortest median delay among those that alarm on at most this share of the healthy runs; None where there is none."""
    delays = [s.delay_any for s in every if s.false_any_time.hits <= rate * s.false_any_time.n]
    return min((d for d in delays if np.isfinite(d)), default=None)


def as_row(s: Scores) -> dict[str, Any]:
    row: dict[str, Any] = {name: [getattr(s, name).hits, getattr(s, name).n] for name in SHARES}
    delays = {"delay": s.delay, "delay_any": s.delay_any}
    return {**row, **{name: value if np.isfinite(value) else None for name, value in delays.items()}}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", type=Path, required=True, help="the Python that the peers are installed for")
    parser.add_argument("--logs", type=Path, default=RUNS)
    parser.add_argument(
        "--runs", type=int, default=10**9, help="so many runs of each part, drawn at random, the same every time"
    )
    parser.add_argument("--peers", default=",".join(NAMES))
    parser.add_argument("--timeout", type=float, default=1200, help="seconds a peer may take for one loss")
    parser.add_argument("--write", action="store_true", help="write peers.json; page.py puts it into the page")
    options = parser.parse_args(arguments)
    truths = [t for t in load(FILE) if t.kind != "undecided" and (options.logs / t.name / t.log).exists()]
    truths.sort(key=lambda t: hashlib.sha256(t.name.encode()).digest())
    chosen = [t for part in (PARTS[0], PARTS[-1]) for t in [t for t in truths if part_of(t) == part][: options.runs]]
    entries = [(truth, _read(options.logs / truth.name / truth.log)) for truth in chosen]
    versions = installed(options.python)
    results = []
    for name in options.peers.split(","):
        if name not in versions:
            print(f"{name}: not installed, skipped", file=sys.stderr)
            continue
        views, remark = judge_peer(options.python, name, entries, options.timeout)
        if remark:
            print(f"{name}: {remark}", file=sys.stderr)
        if views:
            results.append(summary(name, versions[name], views))
            print(json.dumps(results[-1]), flush=True)
    if options.write:
        written = {"runs": [t.name for t in chosen if t.split == "final"], "peers": results}
        (HERE / "peers.json").write_text(json.dumps(written) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

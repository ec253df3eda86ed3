"""Score vaelab's diagnosis on the runs of the fault bench.

    python benchmarks/faultbench/score.py [--logs DIR] [--part tune] [--misses] [--save FILE]
    python benchmarks/faultbench/score.py --final "why"     the newest draw of the final part, once: the look is counted in looks.json

Findings are saved as one line a run; tables.py makes the page of them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import tables
from replay import Judged, Verdict, judge
from splits import PARTS, count_look, part_of
from truth import FILE, RUNS, Truth, load

HERE = Path(__file__).parent
RESULTS = HERE / "results.jsonl.gz"


def judge_all(truths: Sequence[Truth], logs: Path, jobs: int, replay: bool = True) -> list[Judged]:
    """Runs without a log are left out."""
    work = partial(_judge_one, logs=logs, replay=replay)
    if jobs <= 1:
        return [work(truth) for truth in truths]
    with ProcessPoolExecutor(jobs) as pool:
        return list(pool.map(work, truths, chunksize=8))


def _judge_one(truth: Truth, logs: Path, replay: bool) -> Judged:
    return judge(logs / truth.name / truth.log, truth, replay)


def save(runs: Iterable[Judged], path: Path = RESULTS) -> None:
    """One line a run: what was said at every point."""
    lines = [json.dumps(_line(r)) for r in runs]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode(), 9, mtime=0))


def load_results(truths: Iterable[Truth], path: Path = RESULTS) -> list[Judged]:
    """The saved verdicts with their truths; runs that were not judged are left out."""
    by_name = {truth.name: truth for truth in truths}
    lines = [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    return [_judged(line, by_name[line["name"]]) for line in lines if line["name"] in by_name]


def _line(run: Judged) -> dict[str, Any]:
    points = [
        [p.step, p.status, round(p.confidence, 3), [[c, round(s, 3)] for c, s in p.causes[:5]]] for p in run.points
    ]
    line: dict[str, Any] = {
        "name": run.truth.name,
        "points": points,
        "onset": run.final.onset,
        "findings": list(run.final.findings),
    }
    rows = run.rows
    line["rows"] = (
        [rows[0], rows[1] - rows[0], len(rows)] if len(set(map(int.__sub__, rows[1:], rows))) == 1 else list(rows)
    )
    return line | ({"error": run.error} if run.error else {})


def _judged(line: dict[str, Any], truth: Truth) -> Judged:
    findings = tuple(tuple(f) for f in line["findings"])
    points = [
        Verdict(step, status, confidence, tuple((c, s) for c, s in causes), None)
        for step, status, confidence, causes in line["points"]
    ]
    last = points[-1]
    points[-1] = Verdict(last.step, last.status, last.confidence, last.causes, line["onset"], findings)  # type: ignore[arg-type]
    rows = line["rows"]
    steps = range(rows[0], rows[0] + rows[1] * rows[2], rows[1]) if len(rows) == 3 and rows[1] > 0 else rows
    return Judged(truth, tuple(points), tuple(steps), line.get("error", ""))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, default=RUNS, help="folder of the runs' folders")
    parser.add_argument("--truth", type=Path, default=FILE)
    parser.add_argument("--final", default="", help="score the final part instead, and write down why")
    parser.add_argument("--only", default="", help="runs whose name or mechanism contains this text (tune part)")
    parser.add_argument(
        "--misses", action="store_true", help="list every miss of the tune part with its findings and causes"
    )
    parser.add_argument("--no-replay", action="store_true", help="diagnose whole logs only (no delays)")
    parser.add_argument("--save", type=Path, default=None, help="file for the verdicts")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    part = PARTS[-1] if options.final else PARTS[0]
    truths = [
        t for t in load(options.truth)
        if t.kind != "undecided" and part_of(t) == part and (options.logs / t.name / t.log).exists()
        and (not options.only or options.only in t.name or any(options.only in f.mechanism for f in t.faults))
    ]  # fmt: skip
    if not truths:
        print(f"No runs in {options.logs}: make them with benchmarks/faultbench/generate.py", file=sys.stderr)
        return 2
    runs = judge_all(truths, options.logs, options.jobs, replay=not options.no_replay)
    if options.final:
        print(f"look number {count_look(options.final)} at the final part")
    print(part, dict(Counter(t.kind for t in truths)))
    print(tables.goals({part: runs}))
    if options.misses and part == "tune":
        print("\nMisses and false alarms:\n" + tables.misses(runs))
    if options.save:
        save(runs, options.save)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

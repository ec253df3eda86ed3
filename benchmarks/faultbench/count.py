"""Count how often each finding is seen in healthy runs, in faulty runs and with each cause; the tune part only.

    python benchmarks/faultbench/count.py             from the saved verdicts; cross-validated: half of the mechanisms counts, the other half is judged
    python benchmarks/faultbench/count.py --write     src/vaelab/causes/rates.json from the whole tune part

Rates are shrunk towards the words of the causes' entries, as if so many runs more had been seen that follow the words.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import measures
from replay import Judged
from score import RESULTS, judge_all, load_results
from truth import FILE, RUNS, Truth, load

from vaelab.causes import CAUSES, infer

RATES = Path(infer.__file__).with_name("rates.json")
PSEUDO_HEALTHY, PSEUDO_FAULTY, PSEUDO_CAUSE = 200, 50, 8
"""Runs that the words count as."""
FEWEST = 8
"""Runs of a cause below which its words stand alone."""
Rates = Mapping[str, Mapping[str, float]]


def counted(runs: Iterable[Judged]) -> dict[str, dict[str, float]]:
    """Tables "healthy" and "faulty": "CODE severity" -> share of runs; and of each cause: key -> share of its runs."""
    runs = list(runs)
    healthy, faulty = measures.of_kind(runs, "healthy"), measures.of_kind(runs, "faulty")
    tables = {
        "healthy": _of_all(healthy, infer.HEALTHY, PSEUDO_HEALTHY),
        "faulty": _of_all(faulty, infer.UNNAMED, PSEUDO_FAULTY),
    }
    for cause in CAUSES.values():
        mine = [r for r in faulty if len(r.truth.faults) == 1 and cause.id in r.truth.faults[0].causes]
        if len(mine) >= FEWEST:
            seen = Counter(key for r in mine for key in _keys(r))
            tables[cause.id] = {
                key: round((seen[key] + PSEUDO_CAUSE * infer.OFTEN[word]) / (len(mine) + PSEUDO_CAUSE), 4)
                for key, word in cause.expects.items()
                if word in infer.OFTEN
            }
    return tables


def _of_all(runs: Sequence[Judged], words: Mapping[str, float], pseudo: int) -> dict[str, float]:
    seen = Counter(
        kind for r in runs for kind in {f"{key.split(':')[0]} {severity}" for key, severity, _ in r.final.findings}
    )
    return {
        kind: float(f"{(count + pseudo * words[kind.split()[1]]) / (len(runs) + pseudo):.3g}")
        for kind, count in sorted(seen.items())
    }


def _keys(run: Judged) -> set[str]:
    """Codes, and for generic rules the code with the role of its column too."""
    return {part for key, _, _ in run.final.findings for part in (key, key.split(":")[0])}


def fold(truth: Truth) -> int:
    """0 or 1: by mechanism, healthy runs by group or trainer."""
    name = truth.faults[0].mechanism if truth.faults else truth.name.rsplit("-", 1)[0] + truth.name[-4:-2]
    return zlib.crc32(name.encode()) // 7 % 2


def with_rates(rates: Rates, truths: Sequence[Truth], logs: Path, jobs: int) -> list[Judged]:
    """Whole logs judged with these rates in place of the package's."""
    before = infer._counted
    infer._counted = lambda: rates  # type: ignore[assignment]
    try:
        return judge_all(truths, logs, jobs, replay=False)
    finally:
        infer._counted = before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, default=RUNS)
    parser.add_argument("--truth", type=Path, default=FILE)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    words = [r for r in load_results(load(options.truth), options.results) if r.truth.split == "tune"]
    if options.write:
        RATES.write_text(json.dumps(counted(words), indent=1, sort_keys=True) + "\n")
        return
    truths = [r.truth for r in words]
    judge = partial(with_rates, logs=options.logs, jobs=options.jobs)
    checked: list[Judged] = []
    for part in (0, 1):
        rates = counted(r for r in words if fold(r.truth) != part)
        checked += judge(rates, [t for t in truths if fold(t) == part])
    for name, runs in (("words", words), ("counted", checked)):
        s = measures.scores(runs)
        verdict, cause = (measures.reliability(of(runs)) for of in (measures.wrong_or_right, measures.cause_right))
        print(
            f"{name}: acted on {s.detection}, false act {s.false_act}, watch {s.false_watch}, cause first {s.top1}, in three {s.top3},"
            f" calibration error {measures.calibration_error(verdict):.3f} (verdict) {measures.calibration_error(cause):.3f} (cause)"
        )


if __name__ == "__main__":
    main()

"""Count which findings healthy runs show far more often than their severity says: `vaelab.causes.infer.COMMON`.

python benchmarks/faultbench/count.py             the rates, from the saved verdicts of the tune part
python benchmarks/faultbench/count.py --check     what they are worth on systems that they were not counted on (judges all logs)
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from unittest import mock

import measures
from replay import Judged
from score import RESULTS, judge_all, load_results
from tables import percent, table
from truth import FILE, RUNS, load

from vaelab.causes import infer

LEAST, TIMES = 0.03, 3.0
"""Share of healthy runs, and multiple of what the severity says, from which a finding is common."""


def shares(runs: Sequence[Judged], kind: str) -> dict[str, float]:
    """ "CODE severity" -> share of the runs of this kind that show it."""
    mine = measures.of_kind(runs, kind)
    seen = Counter(
        f"{key.split(':')[0]} {severity}" for r in mine for key, severity in {f[:2] for f in r.final.findings}
    )
    return {finding: count / len(mine) for finding, count in seen.items()}


def common(runs: Sequence[Judged]) -> dict[str, float]:
    """The findings that are common in healthy runs. What is acted on is none of them: that is a false alarm to mend."""
    rates = shares(runs, "healthy")
    usual = {finding: infer.HEALTHY[finding.split()[1]] for finding in rates}
    return {
        finding: rate
        for finding, rate in sorted(rates.items())
        if rate >= max(LEAST, TIMES * usual[finding]) and not finding.endswith("critical")
    }


def checked(runs: Sequence[Judged], logs: Path, jobs: int) -> list[Judged]:
    """Each system judged with the rates of the others."""
    found: list[Judged] = []
    for system in sorted({r.truth.system for r in runs}):
        rates = common([r for r in runs if r.truth.system != system])
        found += with_rates(rates, [r for r in runs if r.truth.system == system], logs, jobs)
    return found


def with_rates(rates: Mapping[str, float], runs: Sequence[Judged], logs: Path, jobs: int) -> list[Judged]:
    """Whole logs judged with these rates in place of the package's."""
    with mock.patch.object(infer, "COMMON", rates):
        return judge_all([r.truth for r in runs], logs, jobs, replay=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, default=RUNS)
    parser.add_argument("--truth", type=Path, default=FILE)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    runs = [r for r in load_results(load(options.truth), options.results) if r.truth.split == "tune"]
    faulty = shares(runs, "faulty")
    rows = [(finding, percent(rate), percent(faulty.get(finding, 0.0))) for finding, rate in common(runs).items()]
    print(table(("finding", "healthy runs", "faulty runs"), rows))
    if options.check:
        for name, judged in (
            ("words", with_rates({}, runs, options.logs, options.jobs)),
            ("counted", checked(runs, options.logs, options.jobs)),
        ):
            bins = measures.reliability(measures.wrong_or_right(judged))
            print(
                f"{name}: calibration error {measures.calibration_error(bins):.3f}, cause first {measures.scores(judged).top1}"
            )


if __name__ == "__main__":
    main()

"""Put the truths of all runs that were made into `truth.jsonl.gz`.

python benchmarks/faultbench/collect.py [--logs DIR]

Runs of foreign trainers that are known already are kept where their logs are not at hand.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from foreign.truth import foreign_truths
from generate import labelled
from truth import FILE, RUNS, load, save


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, default=RUNS)
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    numbers = sorted(int(path.name.split("-")[1].split(".")[0]) for path in options.logs.glob("group-*.json.gz"))
    truths = [truth for number in numbers for truth in labelled(number, options.logs)]
    foreign = {truth.name: truth for truth in load(options.out) if "/" in truth.name} if options.out.exists() else {}
    foreign |= {truth.name: truth for truth in foreign_truths(options.logs)}
    truths += foreign.values()
    save(truths, options.out)
    print(f"{len(truths)} truths in {options.out}")


if __name__ == "__main__":
    main()

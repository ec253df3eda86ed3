"""vaelab as a library: read a log, look at its numbers, diagnose it.

python examples/read_and_diagnose.py [LOG]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import vaelab

SAMPLE = Path(__file__).parent / "logs" / "pyramid-flow-gan-weight" / "train.log"


def main(log: str | Path = SAMPLE) -> None:
    run = vaelab.read(log)
    print(f"{len(run)} rows of {run.trainer}, steps {run.steps[0]} to {run.steps[-1]}")
    if "rec_loss" in run:
        rec = run["rec_loss"]
        best = int(np.nanargmin(rec))
        print(f"lowest rec_loss {rec[best]:.4g} at step {run.steps[best]}")

    diagnosis = vaelab.diagnose(run)
    print(f"\n{diagnosis.headline}\n")
    for finding in diagnosis.findings:
        if finding.severity != "info":
            print(
                f"{finding.code} ({finding.severity}), steps {finding.first_step} to {finding.last_step}: {finding.message}"
            )
    for cause in diagnosis.causes[:3]:
        print(f"\n{cause.score:.0%} {cause.id} {cause.title}. Test: {cause.test}")
        for line in cause.fix.patch:
            print(f"    {line}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:2])
    except vaelab.VaelabError as error:
        sys.exit(f"vaelab: {error}")

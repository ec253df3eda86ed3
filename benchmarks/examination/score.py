"""Score vaelab on authentic logs of trainers that are not ours, with faults planted through their own settings and data.

    python benchmarks/examination/score.py [TRAINER ...]

logs.tar.xz holds the logs as the trainers wrote them (1Konny/Beta-VAE, UNIC-Lab/RadioDiff, LlamaGen's tokenizer, diffusers'
train_autoencoderkl.py, medicaldiffusion's VQ-GAN; small networks on a CPU) and for each trainer a truth.json. Half A may be looked at
while rules are mended; of half B only the totals are. TensorBoard folders that truth.json names and the archive does not hold are left out.
"""

from __future__ import annotations

import argparse
import json
import tarfile
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vaelab import diagnose, read
from vaelab.causes import CAUSES
from vaelab.errors import VaelabError

ARCHIVE = Path(__file__).parent / "logs.tar.xz"
ACTED = ("act", "stop")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainers", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
        truths = [
            f
            for f in sorted(Path(folder).glob("*/truth.json"))
            if f.parent.name in options.trainers or not options.trainers
        ]
        runs = [
            judged(f.parent, truth)
            for f in truths
            for truth in json.loads(f.read_text())
            if (f.parent / truth["log"]).exists()
        ]
    for run in runs:
        if run["half"] == "A":
            print(
                f"{run['name']} [{run['label']} {run['harm_db']:.1f} dB]: {run['status']}, {', '.join(run['said'][:3]) or 'no cause'}; planted: {run['note']}"
            )
    for half in "AB":
        print(total(f"half {half}", [run for run in runs if run["half"] == half]))
    print(total("all", runs))


def judged(folder: Path, truth: dict[str, Any]) -> dict[str, Any]:
    """The truth of one log with what vaelab says of it: its status and the names of its causes, likeliest first."""
    try:
        diagnosis = diagnose(read(folder / truth["log"]))
        status, said = diagnosis.status, [CAUSES[cause.id].name for cause in diagnosis.causes]
    except VaelabError:
        status, said = "cannot-tell", []
    return {**truth, "name": f"{folder.name}/{truth['log']}", "status": status, "said": said}


def total(title: str, runs: Sequence[dict[str, Any]]) -> str:
    costly = [run for run in runs if run["label"] == "costly"]
    acted, first, three = (
        sum(run["status"] in ACTED for run in costly),
        sum(run["said"][:1] != [] and run["said"][0] in run["causes"] for run in costly),
        sum(not set(run["said"][:3]).isdisjoint(run["causes"]) for run in costly),
    )
    rest = [
        f"{label} {dict(Counter(run['status'] for run in runs if run['label'] == label))}"
        for label in ("healthy", "harmless")
    ]
    return f"{title}: {len(costly)} costly, {acted} acted on, right cause first {first}, among three {three}; {'; '.join(rest)}"


if __name__ == "__main__":
    main()

"""One of the processes that ``vaelab smoke --ranks`` starts with torchrun: FOLDER holds settings.yaml and gets checks.json."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from vaelab.config import load_config
from vaelab.errors import VaelabError
from vaelab.training import distributed
from vaelab.training.smoke import smoke

SETTINGS, RESULT = "settings.yaml", "checks.json"


def main(folder: Path) -> None:
    """The checks, or the sentence of the error, as JSON. The exit code is 0 unless the process itself fails."""
    config = load_config(str(folder / SETTINGS))
    ranks = distributed.start(config.run.device)
    try:
        result: dict[str, object] = {
            "checks": [asdict(c) for c in smoke(config, folder / "run", ranks)],
            "world": ranks.world,
        }
    except VaelabError as error:
        result = {"error": str(error)}
    if ranks.is_main:
        (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")
    distributed.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

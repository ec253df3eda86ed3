"""``vaelab schema``: the JSON schema of ``vaelab diagnose --format json``."""

from __future__ import annotations

import json


def schema() -> None:
    """Print the JSON schema of **vaelab diagnose --format json**. Its version is in the title; within a version fields
    are added, never changed or removed.
    """
    from vaelab.report.schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))

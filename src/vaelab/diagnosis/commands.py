"""The vaelab command that decides whether a cause that a log can only suspect is the right one."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path

from vaelab.causes import Cause
from vaelab.facts import Facts


def deciding_command(facts: Facts, cause: Cause) -> str:
    """A command line for this run, with its own paths where it is one of ``vaelab train``; else with CHECKPOINT, DATA
    and CONFIG to fill in. Empty where no command decides, or where it was run already."""
    run, looks = facts.run, cause.decided_by
    own = run.format.startswith("vaelab") and run.source.endswith((".jsonl", ".log"))
    folder = shlex.quote(str(Path(run.source).parent))
    log = shlex.quote(run.source)
    if looks == "discriminator":
        measured = "probe.clip_share" in run.measured or "probe.disc_updates" in run.measured
        return f"vaelab probe {folder} --discriminator" if own and not measured else ""
    if looks == "probe" and "probe.clips" not in run.measured:
        if own:
            return f"vaelab probe {folder}"
        return f"vaelab probe CHECKPOINT DATA -o probe && vaelab diagnose {log} --probe probe/probe.json"
    if looks == "evaluate" and not any(name.startswith("evaluation.") for name in run.measured):
        return f"vaelab evaluate {folder}" if own else "vaelab evaluate CHECKPOINT DATA"
    if looks in ("lint", "smoke") and own:
        return f"vaelab {looks} {shlex.quote(str(Path(run.source).parent / 'config.yaml'))}"
    if looks == "lint" and (facts.view.trainer.own or run.trainer in _with_settings()):
        return "vaelab lint CONFIG"
    return ""


def _with_settings() -> Collection[str]:
    """Trainers whose settings ``vaelab lint`` reads. Imported here: most diagnoses never ask."""
    from vaelab.config.foreign import sources

    return sources()

"""The vaelab command that decides whether a cause that a log can only suspect is the right one."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import Literal

from vaelab.facts import Facts

Looks = Literal["probe", "discriminator", "evaluate", "lint", "smoke"]

DECIDED_BY: dict[str, Looks] = {
    **dict.fromkeys(("B8", "C1", "C3", "C4", "C5", "C6", "C9", "C11", "F4"), "probe"),
    **dict.fromkeys(("B2", "D3", "D4", "D7", "D9", "E4"), "discriminator"),
    **dict.fromkeys(("A1", "A7", "B1", "B4", "B5", "B6", "B9", "B10", "B12", "D6", "D17", "E12", "I2", "I6"), "evaluate"),
    **dict.fromkeys(("C2", "C7", "D1", "D14", "D18", "E2", "E7", "E8", "E9", "G1", "G3"), "lint"),
    **dict.fromkeys(("B3", "D10", "H1"), "smoke"),
}  # fmt: skip
"""Cause -> what settles it: the latent and decoder, the discriminator and gradients, pictures, settings, or some steps."""


def deciding_command(facts: Facts, cause: str) -> str:
    """A command line for this run, with its own paths where it is one of ``vaelab train``; else with CHECKPOINT, DATA
    and CONFIG to fill in. Empty where no command decides, or where it was run already."""
    run, looks = facts.run, DECIDED_BY.get(cause)
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

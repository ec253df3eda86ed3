"""What may be looked at while rules are mended ("tune") and what is scored once at the end ("final")."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from draw import Drawn

FINAL_SYSTEM = "radio"
FINAL_TRAINERS = ("explainingai", "misha_vqvae", "vq_example", "pythae_factor", "soundstream")
FINAL_GROUPS_EVERY, FINAL_MECHANISMS_EVERY = 5, 4
LOOKS = Path(__file__).parent / "looks.json"


def held_out(drawn: Drawn) -> str:
    """Why a run of ours belongs to the final part; "" for the tune part. A part of the mechanisms, one of the five
    systems, and every fifth group of runs are kept."""
    if drawn.seed // 100 % FINAL_GROUPS_EVERY == 0:
        return "seed"
    if drawn.system == FINAL_SYSTEM:
        return "system"
    if any(final_mechanism(fault.mechanism) for fault in drawn.faults):
        return "mechanism"
    return ""


def split(drawn: Drawn) -> str:
    return "final" if held_out(drawn) else "tune"


def final_mechanism(mechanism: str) -> bool:
    """A quarter of all, by a hash of the name."""
    return zlib.crc32(mechanism.encode()) % FINAL_MECHANISMS_EVERY == 0


def count_look(why: str, path: Path = LOOKS) -> int:
    """Write down that the final part was scored; how often it was so far."""
    looks = json.loads(path.read_text()) if path.exists() else []
    looks.append({"when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), "why": why})
    path.write_text(json.dumps(looks, indent=1) + "\n")
    return len(looks)

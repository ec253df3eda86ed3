"""What may be looked at while rules are mended ("tune") and what is scored once at the end ("final")."""

from __future__ import annotations

import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from truth import Truth

if TYPE_CHECKING:
    from draw import Drawn

FINAL_SYSTEM = "radio"
FINAL_TRAINERS = ("explainingai", "misha_vqvae", "vq_example", "pythae_factor", "soundstream")
FINAL_GROUPS_EVERY, FINAL_MECHANISMS_EVERY = 5, 4
PARTS = ("tune", "final, first draw", "final, second draw")
SECOND_GROUPS = range(14, 30)
SECOND_SEEDS = {
    "pythae_vae": 10, "misha_vqvae": 10, "monai_ldm": 4, "pytorch_vae": 4, "vq_example": 9, "magvit2": 3, "explainingai": 3,
    "pythae_factor": 2, "soundstream": 1,
}  # fmt: skip
"""Runs of ours, and of each foreign trainer from this seed on, that were made after the final part of the others was scored."""
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


def draw_of(name: str) -> int:
    """1 or 2: the draw that the run of this name belongs to. Their final parts were scored at different times."""
    head, _, seed = name.rpartition("-")
    if head == "own":
        return 2 if int(seed) // 100 in SECOND_GROUPS else 1
    return 2 if int(seed) >= SECOND_SEEDS[head.split("/")[0]] else 1


def part_of(truth: Truth) -> str:
    """One of PARTS."""
    return PARTS[0] if truth.split == "tune" else PARTS[draw_of(truth.name)]


def final_mechanism(mechanism: str) -> bool:
    """A quarter of all, by a hash of the name."""
    return zlib.crc32(mechanism.encode()) % FINAL_MECHANISMS_EVERY == 0


def count_look(why: str, path: Path = LOOKS) -> int:
    """Write down that the final part was scored; how often it was so far."""
    looks = json.loads(path.read_text()) if path.exists() else []
    looks.append({"when": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), "why": why})
    path.write_text(json.dumps(looks, indent=1) + "\n")
    return len(looks)

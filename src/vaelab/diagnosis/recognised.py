"""What a verdict can rest on: a reconstruction or a held-out quality that was recognised, and what to say where there is none."""

from __future__ import annotations

from vaelab.facts import Facts
from vaelab.facts.standing import SURE
from vaelab.run import ReadNote
from vaelab.words import number

ENOUGH_ROWS = 12
"""Rows of a loss below which "healthy" is not said."""
ENOUGH_SCORES = 3
"""Values of a held-out quality that say where it goes, in a log of enough rows."""
HALVED = 2.0
"""First total over the total now, in training and on held-out data, from which something general was learned whatever the terms are."""
MOVED = 1.1
"""First error over the error now from which a total has fallen."""


def judged_rows(facts: Facts) -> int:
    """Rows on which "healthy" may rest: those of the longest reconstruction column that moves, or of the whole log where a quality
    was scored at least three times, or a total and its own held-out total, without an adversarial term, have both fallen to half. A column that crosses 0 has no scale and is judged by no rule. None where most lines with
    numbers were passed over in reading: what is in them may say otherwise."""
    if _mostly_unread(facts) is not None:
        return 0
    rows = [0]
    for track in facts.tracks.values():
        if track.constant or track.worse is None or track.role.standing not in SURE:
            continue
        if track.role.name == "reconstruction":
            rows.append(track.rows)
        elif track.role.name == "quality" and track.rows >= ENOUGH_SCORES:
            rows.append(len(facts.run))
        elif track.role.name == "total" and track.role.split in ("val", "test"):
            own = facts.tracks.get(track.metric.partition("/")[2])
            if own is not None and min(track.improved or 0.0, own.improved or 0.0) >= HALVED:
                rows.append(track.rows)
    return max(rows)


def _mostly_unread(facts: Facts) -> ReadNote | None:
    return next((note for note in facts.run.notes if note.kind == "mostly_unread"), None)


def likely_reconstructions(facts: Facts) -> tuple[str, ...]:
    """Columns, as the log names them, that may be the reconstruction: doubtful ones first, then unknown ones that fall."""
    found: list[tuple[int, float, str]] = []
    for name, column in facts.run.columns.items():
        role, series = facts.view.role(name), facts.view.series(name)
        doubtful = role.standing == "ambiguous" and (role.name == "reconstruction" or "reconstruction" in role.could_be)
        if (
            len(series) < ENOUGH_ROWS
            or role.split not in ("train", "epoch")
            or not (doubtful or role.name == "unknown")
        ):
            continue
        first, late = series.first, series.now
        falls = late / first if first > 0 and series.values.min() >= 0 else 1.0
        if doubtful or falls < 0.9:
            found.append((0 if doubtful else 1, falls, column.original))
    return tuple(original for _, _, original in sorted(found)[:3])


def map_flag(original: str) -> str:
    """The flag that settles what a column is."""
    quoted = f'"{original}=reconstruction"' if " " in original else f"{original}=reconstruction"
    return f"--map {quoted}"


def why_not(facts: Facts) -> str:
    """Why neither "healthy" nor anything else can be said, as a sentence that tells what to do."""
    rows = len(facts.run)
    if rows < ENOUGH_ROWS:
        return f"{rows} row{'s carry' if rows != 1 else ' carries'} too little to judge"
    if (unread := _mostly_unread(facts)) is not None:
        return f"most lines with numbers were passed over ({unread.text.rstrip('.')}), and what is in them may say otherwise"
    known = judged_rows(facts)
    if known:
        return f"{known} row{'s' if known != 1 else ''} of a reconstruction are too few to judge; at least {ENOUGH_ROWS} are needed"
    below = next((m for m in facts.view.of("reconstruction") if facts.view.series(m).values.min() <= 0), None)
    if below is not None:
        return (
            f"{facts.run.columns[below].original} goes below 0 (a likelihood, or a learned variance), so how much better or worse it became has"
            " no scale. Log the squared error, or a PSNR of held-out samples, beside it"
        )
    likely = likely_reconstructions(facts)
    if likely:
        return (
            f"no column was recognised as the reconstruction or a held-out quality. If {' or '.join(f'`{c}`' for c in likely)} is"
            f" the reconstruction, say so: {map_flag(likely[0])}"
        )
    totals = facts.view.of("total")
    if totals:
        return (
            f"the log has no reconstruction and no held-out quality, and {facts.run.columns[totals[0]].original} is a total, in which"
            f" one term can hide another.{_seen_of_totals(facts, totals[0])} Log the reconstruction apart, or map the column that holds it: --map COLUMN=reconstruction"
        )
    return "the log has no column that can be judged: map the one that holds the reconstruction: --map COLUMN=reconstruction"


def _seen_of_totals(facts: Facts, total: str) -> str:
    """What the training and the held-out total do, as a sentence; empty without both."""
    held_out = next((f"{split}/{total}" for split in ("val", "test") if facts.view.has(f"{split}/{total}")), None)
    if held_out is None:
        return ""
    train, held = facts.tracks[total], facts.tracks[held_out]
    if min(train.improved or 0.0, held.improved or 0.0) > MOVED:
        did = "fall together"
    elif max(train.improved or 0.0, held.improved or 0.0) < MOVED:
        did = "both stand about where their first rows stood"
    else:
        did = "do not move together"
    values = f"{number(train.first)} to {number(train.now)}, {number(held.first)} to {number(held.now)}"
    return f" The training and the held-out total {did} ({values})."

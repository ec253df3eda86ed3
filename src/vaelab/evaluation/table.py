"""The validation table: model and baselines side by side, each score explained in a line."""

from __future__ import annotations

import math
from collections.abc import Mapping

# score -> unit, which way is better, format, meaning
ROWS: dict[str, tuple[str, str, str, str]] = {
    "psnr": (
        "dB",
        "higher",
        ".2f",
        "squared error against the range, in decibels; 3 dB more is half the squared error",
    ),
    "ssim": ("", "higher", ".4f", "structural similarity of frames; 1 is identical"),
    "lpips": ("", "lower", ".4f", "distance of deep features of frames; compare only with the same network"),
    "rec_mse": ("", "lower", ".5f", "mean squared error of values in -1 to 1, not clamped"),
    "explained_variance": ("", "higher", ".4f", "1 - MSE / variance; 0 is no better than each clip's mean colour"),
    "hf_ratio": ("", "near 1", ".3f", "energy of fine detail against the original's; under 1 is blur, over 1 noise"),
    "flickering": ("levels", "lower", ".2f", "mean change of the error from frame to frame, in 8-bit levels"),
    "colour_shift": ("levels", "lower", ".2f", "shift of a channel's mean, in 8-bit levels"),
}
LEVELS = 127.5  # 8-bit levels in one unit of the range -1 to 1


def validation_table(rows: Mapping[str, Mapping[str, float]], perceptual: str | None = None) -> str:
    """Markdown that reads as plain text too: a line a score, a column for each of ``rows``, and what the scores mean.

    rows: title, such as ``raw``, ``EMA`` or ``blurred`` -> result of ``validate`` or of ``baselines``. perceptual: name of
    the network behind ``lpips``. Scores that no column has are left out; ``-`` marks one that is not defined.
    """
    shown = [name for name in ROWS if any(math.isfinite(row.get(name, math.nan)) for row in rows.values())]
    shown = shown or ["psnr"]
    cells = [["score", "better", *rows]]
    cells += [[_title(name), ROWS[name][1], *(_cell(name, row) for row in rows.values())] for name in shown]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    lines = [_line(line, widths) for line in cells]
    rule = ["-" * width if i < 2 else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    lines.insert(1, _line(rule, widths))
    lines += ["", _samples(rows), ""]
    network = f" (here {perceptual})" if perceptual else ""
    lines += [f"- {name}: {ROWS[name][3]}{network if name == 'lpips' else ''}." for name in shown]
    return "\n".join(lines) + "\n"


def _title(name: str) -> str:
    unit = ROWS[name][0]
    return f"{name} ({unit})" if unit else name


def _cell(name: str, row: Mapping[str, float]) -> str:
    value = row.get(name, math.nan)
    if not math.isfinite(value):
        return "NaN" if row.get("non_finite") else "-"
    return format(value * LEVELS if ROWS[name][0] == "levels" else value, ROWS[name][2])


def _line(cells: list[str], widths: list[int]) -> str:
    padded = [
        cell.ljust(width) if i < 2 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"


def _samples(rows: Mapping[str, Mapping[str, float]]) -> str:
    counts = sorted({int(row["n"]) for row in rows.values() if "n" in row})
    text = f"Held-out samples: {' or '.join(map(str, counts)) or 'none'}."
    for title, row in rows.items():
        if bad := int(row.get("non_finite", 0)):
            text += (
                f" {title}: the output of {bad} of {int(row['n'])} samples held NaN or infinity, so it has no scores."
            )
    return text

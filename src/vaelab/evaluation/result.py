"""An evaluation as data, as JSON and as Markdown."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from vaelab import __version__
from vaelab.diagnosis import Diagnosis, diagnose
from vaelab.evaluation.published import comparable
from vaelab.evaluation.radial import FREQUENCIES
from vaelab.evaluation.scores import COVERAGE, FEWEST_FILES, SCORES, ClipTable, chunk_scores, measured
from vaelab.rules import ALL_RULES
from vaelab.rules.evaluated import is_local_grid
from vaelab.run import Run

PUBLISHED_WARNING = (
    "Published scores of other models, each on its own data. Other data, sizes or averages move one model by several dB:"
    " compare only within one data set, and yours with none of them unless your clips are that data."
)


@dataclass(frozen=True)
class Evaluation:
    """Checkpoints on the same clips. data: what the clips are. lpips: name of the network, or "" without LPIPS.

    kind, channels: of the first model's pixels and latent, for the published numbers. notes: what was done, and what was not.
    """

    tables: Sequence[ClipTable]
    data: str
    kind: Literal["image", "video"]
    channels: int
    lpips: str = ""
    notes: Sequence[str] = field(default_factory=tuple)

    @cached_property
    def diagnoses(self) -> list[Diagnosis]:
        """Of each checkpoint: the rules and causes of ``vaelab diagnose`` on what was measured, without a log."""
        return [judge(table) for table in self.tables]

    def rows(self) -> list[list[str]]:
        """Score, unit, which way is better, and of each checkpoint the value with half the width of its interval; then the
        differences to the first one."""
        values = [table.scores() for table in self.tables]
        intervals = [table.intervals() for table in self.tables]
        differences = [table.differences(self.tables[0]) for table in self.tables[1:]]
        rows = []
        for name, score in SCORES.items():
            if all(math.isnan(of.get(name, math.nan)) for of in values) and name != "psnr":
                continue
            cells = [_with_interval(name, of[name], *inside.get(name, (math.nan, math.nan))) for of, inside in
                     zip(values, intervals, strict=True)]  # fmt: skip
            cells += [_with_interval(name, *of[name], signed=True) for of in differences]
            rows.append([score.title, score.unit, score.better, *cells])
        return rows + self._more_rows(len(differences))

    def header(self) -> list[str]:
        """Titles of the columns of ``rows``: a letter for each checkpoint, see ``legend``."""
        if len(self.tables) == 1:
            return ["score", "unit", "better", "value"]
        first, *others = [letter(number) for number in range(len(self.tables))]
        return ["score", "unit", "better", first, *others, *(f"{other} - {first}" for other in others)]

    def legend(self) -> list[str]:
        """What was measured on what."""
        titles = [table.title for table in self.tables]
        if len(titles) > 1:
            titles = [f"{letter(number)}: {title}" for number, title in enumerate(titles)]
        return [*titles, self.data]

    def _more_rows(self, differences: int) -> list[list[str]]:
        """Rows without intervals."""
        rows = []
        grids = [grid_text(table) for table in self.tables]
        if any(grids):
            rows.append(["grid", "", "none", *(text or "-" for text in grids), *[""] * differences])
        chunks = [chunk_scores(table) for table in self.tables]
        for name, title, unit, better in (
            ("seam", "seam of chunks", "", "near 1"),
            ("chunk_loss", "lost by chunks", "dB", "near 0"),
        ):
            cells = [f"{of[name]:.2f}" if math.isfinite(of.get(name, math.nan)) else "-" for of in chunks]
            if any(cell != "-" for cell in cells):
                rows.append([title, unit, better, *cells, *[""] * differences])
        for name, title in (("fvd", "rFVD-I3D"), ("paired_i3d", "paired I3D")):
            if any(name in table.fvd for table in self.tables):
                cells = [f"{table.fvd[name]:.1f}" if name in table.fvd else "-" for table in self.tables]
                rows.append([title, "", "lower", *cells, *[""] * differences])
        return rows

    def explanations(self) -> list[str]:
        """One line a score, and what the rest of the table means."""
        shown = {row[0] for row in self.rows()}
        lines = [
            f"{score.title}: {score.meaning}" for score in SCORES.values() if score.meaning and score.title in shown
        ]
        if self.lpips:
            lines.insert(2, f"LPIPS: network {self.lpips}; compare only with the same one")
        if "grid" in shown:
            lines.append(
                "grid: period and amplitude of the strongest pattern at the decoder's strides, in the spectrum of the error or,"
                " where it follows the content, in short windows of the output"
            )
        if "seam of chunks" in shown:
            lines.append("seam of chunks: change of the error at the borders of chunks over that elsewhere; lost by chunks:"
                         " PSNR whole minus PSNR in chunks")  # fmt: skip
        if "rFVD-I3D" in shown:
            lines.append("rFVD-I3D: Fréchet distance of I3D logits; with few clips far too high. paired I3D: mean squared"
                         " distance of a clip's logits to those of its reconstruction, sound with few clips")  # fmt: skip
        clips, files = len(self.tables[0]), len(set(self.tables[0].files))
        count = f"{clips} clips" if files == clips else f"{clips} clips of {files} files"
        if files >= FEWEST_FILES:
            paired = "; of differences: on the same draws, paired" if len(self.tables) > 1 else ""
            lines.append(f"+-: half of the {COVERAGE:.0%} interval over {count} (bootstrap){paired}")
        else:
            lines.append(f"no intervals: {count} are too few, {FEWEST_FILES} files are needed")
        return lines


def judge(table: ClipTable) -> Diagnosis:
    """What the rules say of the numbers of one checkpoint alone."""
    run = Run(
        source=table.title,
        format="evaluation",
        trainer="unknown",
        trainer_confidence=0.0,
        trainer_reason="a checkpoint alone",
        steps=np.empty(0, np.int64),
        columns={},
        measured=measured(table),
    )
    diagnosis = diagnose(run)
    own = {r.code for r in ALL_RULES if any(need.startswith("evaluation.") for need in r.needs)}
    return replace(diagnosis, skipped=tuple(s for s in diagnosis.skipped if s.code in own), would_change=())


def grid_text(table: ClipTable) -> str:
    """``2 px, 1.2 levels``, ``none``, or "" where frames are too small to tell."""
    grid, local = table.grid, table.local_grid
    if not math.isfinite(grid.peak) and not math.isfinite(local.peak):
        return ""
    if grid.peak >= 2.5 and grid.level >= 0.5:
        own = "" if grid.level > 1.5 * grid.input_level else ", in the input too"
        return f"{grid.period:.3g} px, {grid.level:.1f} levels{own}"
    if is_local_grid(local.peak, local.level):
        return f"{local.period:.3g} px, {local.level:.1f} levels, following the content"
    return "none"


def to_json(evaluation: Evaluation, first: int = 0) -> str:
    """All of it. ``measured`` is that of the checkpoint with the number ``first``: what readers of a run take over."""
    checkpoints = []
    for table, diagnosis in zip(evaluation.tables, evaluation.diagnoses, strict=True):
        intervals = table.intervals()
        scores = {
            name: {
                "value": value,
                "low": intervals.get(name, (None,) * 2)[0],
                "high": intervals.get(name, (None,) * 2)[1],
            }
            for name, value in table.scores().items()
        }
        per_clip = table.per_clip()
        checkpoints.append(
            {
                "title": table.title,
                "scores": scores,
                "grid": table.grid._asdict(),
                "local_grid": table.local_grid._asdict(),
                "spectrum": _spectrum(table),
                "measured": measured(table),
                "findings": [
                    {"code": f.code, "name": f.name, "severity": f.severity, "message": f.message}
                    for f in diagnosis.findings
                ],
                "clips": [
                    {"name": clip, **{name: float(values[i]) for name, values in per_clip.items()}}
                    for i, clip in enumerate(table.names)
                ],
            }
        )
    content = {
        "vaelab": __version__,
        "checkpoint": evaluation.tables[first].title,
        "measured": measured(evaluation.tables[first]),
        "data": evaluation.data,
        "lpips_network": evaluation.lpips or None,
        "units": "values in -1 to 1; flickering and colours in that range (x 127.5: 8-bit levels); psnr in dB, range 2",
        "checkpoints": checkpoints,
        "differences": [_difference(table, evaluation.tables[0]) for table in evaluation.tables[1:]],
        "published": [asdict(row) for row in comparable(evaluation.kind, evaluation.channels)],
        "notes": list(evaluation.notes),
    }
    return json.dumps(_finite(content), indent=1, ensure_ascii=False) + "\n"


def _spectrum(table: ClipTable) -> dict[str, list[float]] | None:
    """Power by frequency in four digits; see ``RadialSpectrum``."""
    if table.spectrum is None:
        return None
    curves = {"cycles_per_pixel": FREQUENCIES, "original": table.spectrum[0], "reconstruction": table.spectrum[1]}
    return {name: [float(f"{value:.4g}") for value in values] for name, values in curves.items()}


def _difference(table: ClipTable, base: ClipTable) -> dict[str, Any]:
    between = table.differences(base)
    scores = {name: {"value": value, "low": low, "high": high} for name, (value, low, high) in between.items()}
    return {"checkpoint": table.title, "minus": base.title, **scores}


def to_markdown(evaluation: Evaluation) -> str:
    """A page: scores, findings, published scores, what was done."""
    lines = [
        "# Evaluation",
        "",
        *(f"- {text}" for text in evaluation.legend()),
        "",
        *markdown_table(evaluation.header(), evaluation.rows()),
        "",
    ]
    lines += [f"- {text}." for text in evaluation.explanations()]
    lines += ["", "## Findings", ""]
    for table, diagnosis in zip(evaluation.tables, evaluation.diagnoses, strict=True):
        found = [f"**{f.code} {f.name}** ({f.severity}): {f.message}" for f in diagnosis.findings]
        lines += [f"- {table.title}: {text}" for text in found or ["nothing found."]]
    lines += ["", "## Published", "", PUBLISHED_WARNING, "", *markdown_table(*published_rows(evaluation, None)), ""]
    lines += [f"- {note}" for note in evaluation.notes]
    return "\n".join(lines).rstrip() + "\n"


def published_rows(evaluation: Evaluation, most: int | None) -> tuple[list[str], list[list[str]]]:
    """Header and rows; no more than ``most``, data set by data set."""
    fid = "rFID" if evaluation.kind == "image" else "rFVD"
    header = ["data", "model", "channels", "PSNR", "SSIM", "LPIPS", fid]
    rows = []
    for row in comparable(evaluation.kind, evaluation.channels)[:most]:
        values = (row.channels, row.psnr, row.ssim, row.lpips, row.rfid if evaluation.kind == "image" else row.rfvd)
        rows.append([row.data, row.model, *("-" if v is None else f"{v:g}" for v in values)])
    return header, rows


def letter(number: int) -> str:
    """A, B, C ... for the columns of a table."""
    return chr(ord("A") + number) if number < 26 else f"#{number + 1}"


def _with_interval(name: str, value: float, low: float, high: float, signed: bool = False) -> str:
    score = SCORES[name]
    if math.isnan(value):
        return "-"
    text = format(value * score.factor, f"{'+' if signed else ''}.{score.decimals}f")
    half = (high - low) / 2 * score.factor
    return f"{text} +-{half:.{score.decimals}f}" if math.isfinite(half) else text


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(header), "|" + "---|" * len(header), *map(line, rows)]


def _finite(value: Any) -> Any:
    """JSON has no NaN: null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

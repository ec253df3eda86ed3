"""Pages of what ``vaelab evaluate`` and ``vaelab probe`` measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vaelab.report.dot_strip import dot_strip
from vaelab.report.measured_page import Measured, measured_page
from vaelab.report.spectrum_plot import spectrum_plot

if TYPE_CHECKING:
    from vaelab.diagnosis import Diagnosis
    from vaelab.evaluation.result import Evaluation
    from vaelab.probing.result import ProbeResult

PICTURES = {
    "channels": "Latent channels as images",
    "noise": "The decoder under noise on the latent",
    "prior": "Latents drawn at random, decoded",
    "interpolation": "Between two latents, and between the pixels",
    "cell": "What one latent cell reaches",
}


def evaluation_page(evaluation: Evaluation) -> str:
    """``evaluation.html``: verdicts, every clip's scores as dots, power by size of detail, the table."""
    from vaelab.evaluation.radial import FREQUENCIES
    from vaelab.evaluation.result import PUBLISHED_WARNING, published_rows
    from vaelab.evaluation.scores import SCORES

    tables = evaluation.tables
    per_clip = [table.per_clip() for table in tables]
    names = [table.title for table in tables]
    plots = [
        dot_strip(score.title, score.unit, score.better, [of[name] * score.factor for of in per_clip], tables[0].names, names)
        for name, score in SCORES.items()
        if all(name in of for of in per_clip)
    ]  # fmt: skip
    spectra = [table.spectrum for table in tables if table.spectrum is not None]
    spectrum = None
    if len(spectra) == len(tables):
        spectrum = spectrum_plot(FREQUENCIES, spectra[0][0], [made for _, made in spectra], names)
    shown = [
        ("Scores", evaluation.header(), evaluation.rows(), ". ".join(evaluation.explanations())),
        ("Published", *published_rows(evaluation, None), PUBLISHED_WARNING),
    ]
    judged = list(zip(names, evaluation.diagnoses, strict=True))
    plots = [plot for plot in plots if plot]
    return measured_page(Measured(evaluation.data, judged, plots, spectrum, (), shown, evaluation.notes))


def probe_page(result: ProbeResult, diagnosis: Diagnosis, folder: Path) -> str:
    """``probe.html`` in ``folder``: verdict, power by size of detail, pictures, tables."""
    from vaelab.evaluation.radial import FREQUENCIES
    from vaelab.probing.render import cell_text, title_of

    pictures = [(os.path.relpath(path, folder), PICTURES.get(path.stem, path.stem)) for path in result.pictures]
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]], str]] = [
        (t.title, t.columns, [[cell_text(cell) for cell in row] for row in t.rows], t.note) for t in result.tables
    ]
    notes = [*result.statements, *(f"Not judged: {text}" for text in result.cannot_tell)]
    spectrum = None
    if result.spectrum is not None:
        spectrum = spectrum_plot(FREQUENCIES, result.spectrum[0], [result.spectrum[1]], [result.checkpoint])
    judged = [(result.checkpoint, diagnosis)]
    return measured_page(Measured(title_of(result), judged, (), spectrum, pictures, tables, notes))

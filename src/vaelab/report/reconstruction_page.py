"""Reconstructions on one page: each file with a slider between the original and what the model made of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vaelab.report.html import page_parts
from vaelab.report.markdown import environment


def reconstruction_page(
    shown: Sequence[Mapping[str, Any]],
    models: Mapping[str, str],
    gain: float,
    header: Sequence[str],
    cells: Sequence[Sequence[str]],
) -> str:
    """The page. shown: files, as ``evaluation.reconstruct.for_page`` gives them. models: title -> where the weights are. gain: of the
    errors. header, cells: the table of scores."""
    template = environment(autoescape=True).get_template("reconstructions.html.j2")
    parts = page_parts(shown, "wipe.js", "reconstructions.js")
    return template.render(shown=shown, models=models, gain=gain, header=header, rows=cells, **parts)

"""What was measured on checkpoints (``vaelab evaluate``, ``vaelab probe``) as one page: verdict, pictures, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from vaelab.diagnosis import Diagnosis
from vaelab.report.first_view import first_view
from vaelab.report.glossary import explanations
from vaelab.report.html import findings_layout, page_parts
from vaelab.report.markdown import environment


@dataclass(frozen=True)
class Measured:
    """A page's content. judged: (checkpoint, diagnosis of its numbers). plots: SVG, of scores. spectrum: SVG. pictures: (address beside the page, what it shows).
    tables: (title, header, rows, note)."""

    title: str
    judged: Sequence[tuple[str, Diagnosis]]
    plots: Sequence[Markup] = ()
    spectrum: Markup | None = None
    pictures: Sequence[tuple[str, str]] = ()
    tables: Sequence[tuple[str, Sequence[str], Sequence[Sequence[str]], str]] = ()
    notes: Sequence[str] = field(default_factory=tuple)


def measured_page(content: Measured) -> str:
    """The page; pictures are not in it, they lie beside it."""
    judged = [
        {"title": title, "d": d, "v": first_view(d), **findings_layout(d.findings)} for title, d in content.judged
    ]
    template = environment(autoescape=True).get_template("measured.html.j2")
    return template.render(
        content=content, judged=judged, explanations=explanations(), **page_parts(None, "measured.js")
    )

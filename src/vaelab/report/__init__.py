"""Reports: lay a Diagnosis out as a terminal screen, JSON, SARIF, Markdown, one HTML page and PNG plots."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vaelab.errors import ConfigError

if TYPE_CHECKING:
    from vaelab.diagnosis import Diagnosis
    from vaelab.report import notebook
    from vaelab.report.html import to_html
    from vaelab.report.json_report import to_dict, to_json
    from vaelab.report.markdown import to_markdown
    from vaelab.report.plots import Plot, draw_plots
    from vaelab.report.sarif import to_sarif
    from vaelab.report.terminal import render

__all__ = [
    "ReportFormat", "draw_plots", "notebook", "render", "to_dict", "to_html", "to_json", "to_markdown", "to_sarif",
    "write_report",
]  # fmt: skip

ReportFormat = Literal["md", "html", "json", "plots"]

_HOMES = {
    "to_html": "html", "to_dict": "json_report", "to_json": "json_report", "to_markdown": "markdown", "draw_plots": "plots",
    "to_sarif": "sarif", "render": "terminal",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    # lazy: the terminal's screen must not pay for the templates, the JSON schema and the plots
    if name in _HOMES:
        return getattr(import_module(f"vaelab.report.{_HOMES[name]}"), name)
    if name == "notebook":
        return import_module("vaelab.report.notebook")
    raise AttributeError(f"module 'vaelab.report' has no attribute {name!r}")


def write_report(
    diagnoses: Sequence[Diagnosis],
    out_dir: str | Path,
    formats: Sequence[ReportFormat] | None = None,
    plots: Literal["first", "all"] = "first",
) -> list[Path]:
    """Write ``report.md``, ``report.html``, ``diagnosis.json`` and ``plots/*.png`` into ``out_dir``; return the paths.

    formats: which of them; None for all. Without matplotlib the default leaves the plots out and the report says so,
    asked for by name they raise. plots: those of the first view and an overview, or all. With several runs the plots of each lie in ``plots/1``, ``plots/2`` ...
    Raises ConfigError if ``out_dir`` cannot be written, or matplotlib is missing.
    """
    from vaelab.report import files
    from vaelab.report.html import to_html
    from vaelab.report.json_report import to_json
    from vaelab.report.markdown import to_markdown
    from vaelab.report.plots import draw_plots

    folder = Path(out_dir)
    wanted = formats if formats is not None else ("md", "html", "json", "plots")
    files.make_folder(folder)
    written: list[Path] = []
    shown: dict[int, list[tuple[str, Plot]]] = {}
    missing: dict[int, list[str]] = {}
    if "plots" in wanted:
        for i, diagnosis in enumerate(diagnoses):
            place = Path("plots") if len(diagnoses) == 1 else Path("plots", str(i + 1))
            files.make_folder(folder / place)
            try:
                drawn, missing[i] = draw_plots(diagnosis, folder / place, plots)
            except ConfigError as error:
                if formats is not None:
                    raise
                drawn, missing[i] = [], [str(error)]
            shown[i] = [((place / plot.file).as_posix(), plot) for plot in drawn]
            written += [folder / place / plot.file for plot in drawn]
    if "md" in wanted:
        written.append(files.write_text(folder / "report.md", to_markdown(diagnoses, shown, missing)))
    if "html" in wanted:
        written.append(files.write_text(folder / "report.html", to_html(diagnoses)))
    if "json" in wanted:
        written.append(files.write_text(folder / "diagnosis.json", to_json(diagnoses) + "\n"))
    return written

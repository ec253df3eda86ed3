"""``vaelab compare``: runs side by side in units that compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab.cli.declared import declared_config
from vaelab.cli.diagnose import (
    Channels,
    Clip,
    Compression,
    ConfigFile,
    Dialect,
    Latent,
    Map,
    Paths,
    Range,
)
from vaelab.cli.judging import diagnose_paths
from vaelab.cli.reading import output_and_dialect

if TYPE_CHECKING:
    from rich.console import Console

    from vaelab.compare import Comparison

OUTPUTS = ("terminal", "json", "html")
MANY = 12  # runs from which one line is all that there is room for
MOST_LINES, MOST_COLUMNS = 40, 4


def compare(
    paths: Paths,
    format: Annotated[
        list[str] | None,
        typer.Option(
            "--format",
            "-f",
            metavar="NAME",
            help="terminal (default), json or html (a page to sort, filter, group and draw), or a log format as --dialect.",
        ),
    ] = None,
    dialect: Dialect = None,
    config: ConfigFile = None,
    latent: Latent = None,
    clip: Clip = None,
    compression: Compression = None,
    channels: Channels = None,
    input_range: Range = None,
    roles: Map = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file instead of the screen.")
    ] = None,
) -> None:
    """Set two or more runs side by side in natural units, with the settings that differ and what they may explain.

    What is declared here (**--latent**, **--clip** ...) holds for all runs.

    Examples:

    - **vaelab compare run-a/train.log run-b/train.log**

    - **vaelab compare runs/ -f html -o compare.html**
    """
    what, forced = output_and_dialect(format or (), OUTPUTS, dialect)
    declared = declared_config(config, latent, clip, compression, channels, input_range, roles)
    diagnoses = diagnose_paths(paths, forced, declared)
    from vaelab.cli.output import console_for, write_out
    from vaelab.compare import compare as compare_runs
    from vaelab.compare import differing_settings

    if what == "html":
        from vaelab.report.compare_page import compare_page

        write_out(compare_page(diagnoses), output)
        return
    comparison = compare_runs(diagnoses)
    if what == "json":
        write_out(_json(comparison), output)
    else:
        with console_for(output) as console:
            if len(diagnoses) > MANY:
                _render_many(comparison, differing_settings(diagnoses), console)
            else:
                _render(comparison, console)


def _json(comparison: Comparison) -> str:
    import json
    from dataclasses import asdict

    from vaelab.compare import POINTS
    from vaelab.report.json_report import jsonable

    content = {"schema": "vaelab.comparison/1", "points": POINTS, **asdict(comparison)}
    return json.dumps(jsonable(content), indent=2, allow_nan=False)


def _render_many(comparison: Comparison, settings: Mapping[str, Sequence[Any]], console: Console) -> None:
    """A line a run, the worst first: more cannot be read on a terminal."""
    from rich.table import Table
    from rich.text import Text

    from vaelab.report.layout import WORST_FIRST
    from vaelab.report.numbers import number

    order = sorted(range(len(comparison.runs)), key=lambda i: WORST_FIRST.index(comparison.runs[i].status))
    quantities, keys = comparison.quantities[:MOST_COLUMNS], list(settings)[:MOST_COLUMNS]
    table = Table(box=None, pad_edge=False)
    for heading in ("run", "status", "top cause"):
        table.add_column(heading, overflow="fold")
    for heading in (
        *keys,
        *(f"{q.title}{f' ({q.unit})' if q.unit else ''}{' *' if q.reason else ''}" for q in quantities),
    ):
        table.add_column(heading, justify="right")
    for i in order[:MOST_LINES]:
        run = comparison.runs[i]
        values = [settings[key][i] for key in keys]
        shown = [number(v) if isinstance(v, int | float) and not isinstance(v, bool) else str(v or "-") for v in values]
        ends = [number(q.values[i][2]) for q in quantities]
        table.add_row(Text(run.label), run.status, run.top_cause or "-", *map(Text, shown), *ends)
    console.print(table)
    if len(order) > MOST_LINES:
        console.print(Text(f"and {len(order) - MOST_LINES} more that are no worse"))
    if any(q.reason for q in quantities):
        console.print(Text("* not comparable, or only on a condition"))
    console.print(Text("To sort, filter, group and draw them:  vaelab compare PATH -f html -o compare.html"))


def _render(comparison: Comparison, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    from vaelab.compare import POINTS, setting_text
    from vaelab.report.numbers import number

    table = Table(title="Runs", title_justify="left", box=None, pad_edge=False)
    for heading in ("run", "trainer", "status", "last step", "GAN start", "top cause"):
        table.add_column(heading, overflow="fold")
    for run in comparison.runs:
        ends = (f"{step:,}" if step is not None else "-" for step in (run.last_step, run.gan_start))
        table.add_row(Text(run.label), run.trainer, run.status, *ends, run.top_cause or "-")
    console.print(table)

    where = f" (common step {comparison.common_step:,})" if comparison.common_step is not None else ""
    table = Table(title=f"\nMetrics{where}", title_justify="left", box=None, pad_edge=False)
    for heading in ("metric", "run"):
        table.add_column(heading, overflow="fold")
    for heading in POINTS:
        table.add_column(heading, justify="right")
    for quantity in comparison.quantities:
        title = f"{quantity.title}{f' ({quantity.unit})' if quantity.unit else ''}"
        for i, (run, values) in enumerate(zip(comparison.runs, quantity.values, strict=True)):
            shown = (number(value) if value is not None else "-" for value in values)
            mark = " *" if quantity.reason else ""
            table.add_row(Text(f"{title}{mark}" if i == 0 else ""), Text(run.label), *shown)
    console.print(table)
    if any(quantity.reason for quantity in comparison.quantities):
        console.print(Text("* not comparable, or only on a condition: see the end"))

    if comparison.settings:
        table = Table(title="\nSettings that differ", title_justify="left", box=None, pad_edge=False)
        table.add_column("setting")
        for run in comparison.runs:
            table.add_column(Text(run.label))
        for setting in comparison.settings:
            cells = (
                Text(f"{setting_text(value)}{'' if how == 'declared' else f' ({how})'}")
                for value, how in setting.values
            )
            table.add_row(setting.key, *cells)
        console.print(table)
    for heading, lines in (("What explains what", comparison.conclusions), ("With care", comparison.warnings)):
        if lines:
            console.print(Text(f"\n{heading}"), style="italic")
            for line in lines:
                console.print(Text(f"- {line}"))

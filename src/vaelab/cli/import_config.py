"""``vaelab import-config``: settings of another trainer, turned into ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import RenderableType

    from vaelab.config.foreign import Imported, Kind


def import_config(
    file: Annotated[
        str,
        typer.Argument(
            show_default=False,
            help="A launch script or command line of Pyramid-Flow, or the YAML of RadioDiff, latent-diffusion or VidTok.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the settings to this file; else they are printed.")
    ] = None,
) -> None:
    """Turn another trainer's settings into a config.yaml, and say what became of each option.

    Says what means the same here, what vaelab would do otherwise and why, what had no effect in the original, and what is not
    carried over. The YAML holds the same notes as comments. With ``-o -`` only the YAML is printed.

    Examples:

    - **vaelab import-config first_radio.yaml -o radio.yaml**

    - **vaelab import-config train_causal_video_vae.sh**
    """
    from vaelab.cli.output import console_for, write_out
    from vaelab.config.foreign import KINDS, import_foreign

    imported = import_foreign(file)
    if output == Path("-"):
        write_out(imported.yaml(), None)
        return
    with console_for(None) as console:
        console.print(f"Settings of {imported.title}", style="bold", markup=False)
        for kind, meaning in KINDS.items():
            if any(note.kind == kind for note in imported.notes):
                console.print()
                console.print(f"{kind}: {meaning}", style="bold", markup=False)
                console.print(_table(imported, kind))
        console.print()
    if output is None:
        write_out(imported.yaml(), None)
    else:
        write_out(imported.yaml(), output)
        print(f"Written to {output}. Start with:  vaelab train {output}")


def _table(imported: Imported, kind: Kind) -> RenderableType:
    """Original option and value, ours, and why. Options without one of ours that share a reason share a row."""
    from rich.table import Table
    from rich.text import Text

    short = short_names([note.original for note in imported.notes])
    rows: dict[tuple[str, str], list[str]] = {}
    for note in imported.notes:
        if note.kind == kind:
            given = f"{short[note.original]} = {note.value}" if note.value else short[note.original]
            rows.setdefault((note.ours, note.text), []).append(given)
    columns = 3 if any(ours for ours, _ in rows) else 2
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(ratio=3, overflow="fold")
    for ratio in (3, 4)[3 - columns :]:
        table.add_column(ratio=ratio, overflow="fold")
    for (ours, text), options in rows.items():
        cells = (", ".join(options), ours, text) if columns == 3 else (", ".join(options), text)
        table.add_row(*(Text(cell) for cell in cells))
    return table


def short_names(names: Sequence[str]) -> dict[str, str]:
    """The shortest ends of dotted names that tell them apart: ``lossconfig.target`` for ``model.params.lossconfig.target``."""
    short = {}
    for name in names:
        parts = [part for part in name.split(".") if part != "params"] if " " not in name else [name]
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [f".{other.replace('.params', '')}" for other in names if other != name]
        short[name] = next((end for end in ends if not any(other.endswith(f".{end}") for other in others)), name)
    return short

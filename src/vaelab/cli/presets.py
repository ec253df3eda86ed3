"""``vaelab presets``: ready settings for known jobs."""

from __future__ import annotations

from typing import Annotated

import typer


def presets(
    name: Annotated[
        str | None, typer.Argument(show_default=False, help="Print this preset's settings and what is known of it.")
    ] = None,
) -> None:
    """List the presets, or print one as YAML with its description. **vaelab train NAME** starts it.

    Examples:

    - **vaelab presets**

    - **vaelab presets video-tiny > mine.yaml** to change it in an editor
    """
    from vaelab import config
    from vaelab.cli.output import console_for, write_out
    from vaelab.config.describe import paragraphs

    if name is not None:
        write_out(config.dump_config(config.preset(name)), None)
        return
    from rich.table import Table

    table = Table("name", "what", "needs", box=None, pad_edge=False, padding=(0, 2, 1, 0))
    table.columns[0].no_wrap = True
    table.columns[1].ratio, table.columns[2].ratio = 3, 2
    for preset in config.presets().values():
        known = paragraphs(preset.description)
        table.add_row(preset.name, known["What"], known["Needs"])
    with console_for(None) as console:
        console.print(table)
        console.print("vaelab presets NAME prints one; vaelab train NAME trains with it, option=value changes it.")

"""``vaelab rules``: the list of all checks."""

from __future__ import annotations

from typing import Annotated

import typer

from vaelab.cli.reading import output_and_dialect

OUTPUTS = ("terminal", "json")


def rules(
    format: Annotated[
        list[str] | None, typer.Option("--format", "-f", metavar="NAME", help="terminal (default) or json.")
    ] = None,
) -> None:
    """List all rules with their codes. **vaelab explain CODE** says more of one.

    Example: **vaelab rules**
    """
    what, unknown = output_and_dialect(format or (), OUTPUTS)
    if unknown:
        raise typer.BadParameter(f"{unknown!r} is not one of {', '.join(OUTPUTS)}", param_hint="--format")
    from vaelab.cli.output import console_for, write_out
    from vaelab.explain import first_sentence
    from vaelab.rules import ALL_RULES

    rows = [(rule.code, rule.name, first_sentence(rule.documentation()), rule.needs) for rule in ALL_RULES]
    if what == "json":
        import json

        names = ("code", "name", "summary", "needs")
        write_out(json.dumps([dict(zip(names, row, strict=True)) for row in rows], indent=2), None)
        return
    from rich.table import Table

    table = Table("code", "name", "what it checks", box=None, pad_edge=False)
    for code, name, summary, _ in rows:
        table.add_row(code, name, summary)
    with console_for(None) as console:
        console.print(table)

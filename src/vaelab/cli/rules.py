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
    """List all rules of diagnose and lint with their codes, and the known faults of public trainers that lint names.

    **vaelab explain CODE** says more of one.

    Example: **vaelab rules**
    """
    what, unknown = output_and_dialect(format or (), OUTPUTS)
    if unknown:
        raise typer.BadParameter(f"{unknown!r} is not one of {', '.join(OUTPUTS)}", param_hint="--format")
    from vaelab.cli.output import console_for, write_out
    from vaelab.explain import first_sentence
    from vaelab.lint import KNOWN_BUGS, LINT_RULES
    from vaelab.rules import ALL_RULES

    rows = [(rule.code, rule.name, first_sentence(rule.documentation()), rule.needs) for rule in ALL_RULES]
    of_lint = [(rule.code, rule.name, first_sentence(rule.documentation())) for rule in LINT_RULES]
    if what == "json":
        import json

        names = ("code", "name", "summary", "needs")
        listed = [{"command": "diagnose", **dict(zip(names, row, strict=True))} for row in rows]
        listed += [{"command": "lint", **dict(zip(names, (*row, ()), strict=True))} for row in of_lint]
        listed += [
            {"command": "lint", **dict(zip(names, (bug.code, bug.name, bug.title, ()), strict=True))}
            for bug in KNOWN_BUGS.values()
        ]
        write_out(json.dumps(listed, indent=2, ensure_ascii=False), None)
        return
    from rich.table import Table

    table = Table("code", "name", "what it checks", box=None, pad_edge=False)
    for code, name, summary in [*(row[:3] for row in rows), *of_lint]:
        table.add_row(code, name, summary)
    bugs = Table("code", "known fault of a trainer's public code", box=None, pad_edge=False)
    for bug in KNOWN_BUGS.values():
        bugs.add_row(bug.code, bug.title)
    with console_for(None) as console:
        console.print(table)
        console.print()
        console.print(bugs)

"""``vaelab explain``: what a metric, a setting, a rule, a cause or a trainer is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from vaelab.explain import Section
    from vaelab.run import Run

MOST_FORMULAS = 5


def explain(
    topic: Annotated[
        str,
        typer.Argument(
            show_default=False,
            help="A metric under any of its names (d_weight, p_loss), a setting (kl_weight), a rule (code or name), a cause (C2 "
            "or kl-weight-too-big) or a trainer (pyramid-flow).",
        ),
    ],
    trainer: Annotated[
        str | None, typer.Option("--trainer", metavar="NAME", help="Give the formulas of this trainer only.")
    ] = None,
    run: Annotated[
        str | None,
        typer.Option("--run", metavar="LOG", help="Take the trainer from this log, and draw where the run stands."),
    ] = None,
) -> None:
    """Say what a metric, a setting, a rule, a cause or a trainer is.

    Examples:

    - **vaelab explain d_weight**

    - **vaelab explain kl_loss --run train.log**

    - **vaelab explain kl_weight**

    - **vaelab explain D5**
    """
    from vaelab import explain as explaining
    from vaelab.cli.output import console_for

    runs = _runs(run) if run is not None else []
    explanation = explaining.explain_in_run(topic, runs[0], trainer) if runs else explaining.explain(topic, trainer)
    from rich.padding import Padding
    from rich.text import Text

    with console_for(None) as console:
        console.print(Text(f"{explanation.title} ({explanation.kind} {explanation.name})", style="bold"))
        if len(runs) > 1:
            console.print(Text(f"{run} holds {len(runs)} runs; this is {runs[0].source}. Name one log to see another."))
        for section in explanation.sections:
            console.print()
            console.print(Text(section.heading, style="bold"))
            for line in _shown(section):
                text = Text(line.replace("``", ""), no_wrap=section.drawn, overflow="ignore" if section.drawn else None)
                console.print(Padding(text, (0, 0, 0, 2), expand=False), crop=not section.drawn)


def _shown(section: Section) -> tuple[str, ...]:
    """The lines of ``section``; of many formulas the most common ones."""
    more = len(section.lines) - MOST_FORMULAS
    if section.heading != "Formula" or more <= 0:
        return section.lines
    return (*section.lines[:MOST_FORMULAS], f"and {more} more; --trainer NAME gives the one of a trainer")


def _runs(path: str) -> list[Run]:
    from vaelab.cli.reading import read_runs

    return read_runs([path])

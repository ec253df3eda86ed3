"""Wrong usage as one sentence, like every other error: what is wrong, what may have been meant, where the options are listed."""

from __future__ import annotations

import re
from typing import Any

import typer

# typer gives no name to the class that all its errors of usage have in common
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def sentence(error: Any, command: str) -> str | None:
    """``no such option: --nope (possible options: --ignore); vaelab diagnose --help lists all options``.

    command: what was called, ``vaelab diagnose`` or ``vaelab``. None for one that was given nothing at all: its help is the answer.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        return None
    text = " ".join(str(error.format_message()).split()).removesuffix(".")
    text = (
        text.replace("Value error, ", "")
        .replace("(Possible", "(possible")
        .replace(". (Did", " (did")
        .replace("Got unexpected", "unexpected")
    )
    text = text.replace("argument(s)", "argument").replace(": Input", ": input")
    text = re.sub(r"\. (\w)", lambda match: f"; {match[1].lower()}", text)
    return f"{text[:1].lower()}{text[1:]}; {command} --help lists {'all options' if ' ' in command else 'the commands'}"

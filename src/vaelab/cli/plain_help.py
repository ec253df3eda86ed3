"""Help that names no types of Python: the name of an argument, or of a flag, says what it takes."""

from __future__ import annotations

from typing import Any

from typer.core import TyperArgument, TyperCommand


class PlainHelp:
    """Mixed into a command or a group. typer writes ``<list[str]>`` beside an argument and ``<bool>`` beside a flag, as if it took a word."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            if isinstance(param, TyperArgument) or getattr(param, "is_flag", False):
                param.display_type_rich = _nothing
        return params


class Command(PlainHelp, TyperCommand):
    """A command with such a help."""


def _nothing(ctx: Any) -> None:
    """What typer writes into the column of types."""

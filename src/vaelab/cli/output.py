"""Printing to the screen or to a file."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def write_out(text: str, output: Path | None) -> None:
    """Print ``text``, or write it to ``output``. Raises ConfigError if the file cannot be written."""
    text = text if text.endswith("\n") else text + "\n"
    if output is None:
        # A terminal or pipe in another encoding must not end the command over one character.
        encoding = sys.stdout.encoding or "utf-8"
        sys.stdout.write(text.encode(encoding, "replace").decode(encoding))
    else:
        from vaelab.report import files

        files.write_text(output, text)


@contextmanager
def console_for(output: Path | None) -> Iterator[Console]:
    """A rich console on standard output, or one whose text goes to ``output`` at the end."""
    from rich.console import Console

    class PipeConsole(Console):
        def on_broken_pipe(self) -> None:
            """Leave a closed pipe to the command: rich would end with exit code 1, which means a finding here."""
            raise BrokenPipeError

    if output is None:
        yield PipeConsole(highlight=False, emoji=False)
        return
    text = io.StringIO()
    yield Console(file=text, width=100, highlight=False, emoji=False, no_color=True)
    write_out(text.getvalue(), output)

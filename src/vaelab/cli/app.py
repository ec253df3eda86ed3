"""The ``vaelab`` command: its sub-commands, its exit codes and how it ends on errors, Ctrl-C and closed pipes."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_name

from vaelab import __version__
from vaelab.cli.compare import compare
from vaelab.cli.diagnose import diagnose
from vaelab.cli.evaluate import evaluate
from vaelab.cli.explain import explain
from vaelab.cli.import_config import import_config
from vaelab.cli.lint import lint
from vaelab.cli.mcp import mcp
from vaelab.cli.presets import presets
from vaelab.cli.probe import probe
from vaelab.cli.reconstruct import reconstruct
from vaelab.cli.report import report
from vaelab.cli.rules import rules
from vaelab.cli.schema import schema
from vaelab.cli.smoke import smoke
from vaelab.cli.train import TrainCommand, resume, train
from vaelab.cli.usage import UsageError, sentence
from vaelab.cli.watch import watch
from vaelab.errors import VaelabError, reason

OBJECTS_BEFORE_GC = (
    100_000  # what start-up makes stays; to look through it every 700 objects takes a tenth of a short run
)
INTERRUPTED = 130
PIPE_CLOSED = 141


class Commands(TyperGroup):
    """Ends every command with one sentence instead of a traceback, and quietly on Ctrl-C and on a closed pipe."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except UsageError as error:
            raise _wrong_usage(error, "vaelab") from None

    def invoke(self, ctx: Any) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except UsageError as error:
            known = ctx.invoked_subcommand in self.commands
            raise _wrong_usage(error, f"vaelab {ctx.invoked_subcommand}" if known else "vaelab") from None
        except VaelabError as error:
            print(f"vaelab: {error}", file=sys.stderr)
            raise typer.Exit(2) from None
        except MemoryError:
            print(
                "vaelab: the log does not fit into memory (its values take about as much as the file). Cut it, for example"
                " with split or grep, or read it on a machine with more memory.",
                file=sys.stderr,
            )
            raise typer.Exit(2) from None
        except KeyboardInterrupt as interrupt:
            if interrupt.args:
                print(f"vaelab: {interrupt}", file=sys.stderr)
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The interpreter flushes stdout once more at exit, which would complain.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(PIPE_CLOSED) from None
        except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            if os.environ.get("VAELAB_DEBUG"):
                raise
            where = traceback.extract_tb(error.__traceback__)[-1]
            print(
                f"vaelab: this is an error of vaelab's own, not of your log ({type(error).__name__}: {reason(error)}, at"
                f" {Path(where.filename).name} line {where.lineno}). Nothing was changed. Please report it with the"
                " log; VAELAB_DEBUG=1 shows all of it.",
                file=sys.stderr,
            )
            raise typer.Exit(2) from None


def _wrong_usage(error: Exception, command: str) -> Exception:
    """Says what is wrong in one sentence; where the help is the answer, ``error`` itself, which prints it."""
    if (text := sentence(error, command)) is None:
        return error
    print(f"vaelab: {text}", file=sys.stderr)
    return typer.Exit(2)


app = typer.Typer(
    name="vaelab",
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (diagnose, report, compare, explain, rules):
    app.command(no_args_is_help=command is not rules)(command)
app.command(no_args_is_help=True, cls=TrainCommand)(train)
app.command(no_args_is_help=True)(resume)
app.command(no_args_is_help=True)(watch)
app.command()(presets)
app.command(no_args_is_help=True)(probe)
app.command(no_args_is_help=True)(evaluate)
app.command(no_args_is_help=True)(reconstruct)
app.command()(mcp)
app.command(no_args_is_help=True)(import_config)
app.command(no_args_is_help=True)(lint)
app.command(no_args_is_help=True)(smoke)
app.command()(schema)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"vaelab {__version__}")
        raise typer.Exit


@app.callback()
def vaelab(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Say from the log of an image or video VAE-GAN training run what every number means, whether the run is healthy,
    what is wrong and what to change.

    Start with: **vaelab diagnose train.log**

    Exit codes: 0 nothing as bad as --fail-on, 1 something is, 2 bad usage or unreadable input.
    """


def main() -> None:
    """Entry point of the ``vaelab`` script. Of the commands only the one that is named is put together, if one is."""
    gc.set_threshold(OBJECTS_BEFORE_GC)
    named = [info for info in app.registered_commands if sys.argv[1:2] == [get_command_name(info.callback.__name__)]]  # type: ignore[union-attr]
    app.registered_commands = named or app.registered_commands
    app()

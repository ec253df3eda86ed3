"""The ``vaelab`` command: its sub-commands, and how wrong usage is answered."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command_name

from vaelab import __version__
from vaelab.cli.compare import compare
from vaelab.cli.diagnose import diagnose
from vaelab.cli.ending import ends_with_a_sentence
from vaelab.cli.evaluate import evaluate
from vaelab.cli.explain import explain
from vaelab.cli.import_config import import_config
from vaelab.cli.lint import lint
from vaelab.cli.mcp import mcp
from vaelab.cli.plain_help import Command, PlainHelp
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


class Commands(PlainHelp, TyperGroup):
    """Ends every command with one sentence instead of a traceback, wrong usage too."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().make_context(*args, **kwargs)
        except UsageError as error:
            raise _wrong_usage(error, "vaelab") from None

    def invoke(self, ctx: Any) -> Any:
        with ends_with_a_sentence():
            try:
                return super().invoke(ctx)
            except UsageError as error:
                known = ctx.invoked_subcommand in self.commands
                raise _wrong_usage(error, f"vaelab {ctx.invoked_subcommand}" if known else "vaelab") from None


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
    app.command(no_args_is_help=command is not rules, cls=Command)(command)
app.command(no_args_is_help=True, cls=TrainCommand)(train)
app.command(no_args_is_help=True, cls=Command)(resume)
app.command(no_args_is_help=True, cls=Command)(watch)
app.command(cls=Command)(presets)
app.command(no_args_is_help=True, cls=Command)(probe)
app.command(no_args_is_help=True, cls=Command)(evaluate)
app.command(no_args_is_help=True, cls=Command)(reconstruct)
app.command(cls=Command)(mcp)
app.command(no_args_is_help=True, cls=Command)(import_config)
app.command(no_args_is_help=True, cls=Command)(lint)
app.command(no_args_is_help=True, cls=Command)(smoke)
app.command(cls=Command)(schema)


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


def run() -> None:
    """Parse the command line and do what it says. Of the commands only the one that is named is put together, if one is."""
    named = [info for info in app.registered_commands if sys.argv[1:2] == [get_command_name(info.callback.__name__)]]  # type: ignore[union-attr]
    app.registered_commands = named or app.registered_commands
    app()

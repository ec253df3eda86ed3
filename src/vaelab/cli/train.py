"""``vaelab train`` and ``vaelab resume``: train a VAE-GAN, with the diagnosis inside."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab.cli.plain_help import Command
from vaelab.errors import ConfigError, TrainError

if TYPE_CHECKING:
    from vaelab.config import TrainConfig

INTERRUPTED, STOPPED = 130, 1


def train(
    config: Annotated[
        str,
        typer.Argument(
            metavar="PRESET-or-CONFIG",
            show_default=False,
            help="A preset (see vaelab presets) or a YAML file of settings.",
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="KEY=VALUE",
            show_default=False,
            help="Settings that win, such as loss.kl_weight=1e-6 or run.steps=2000.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", show_default=False, help="The run's folder; without it runs/NAME."
        ),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on if the folder holds a checkpoint, else start; for job schedulers.")
    ] = False,
) -> None:
    """Train an autoencoder with losses, discriminator and data as the settings say, and watch the run while it goes.

    The folder then holds metrics.jsonl, events.jsonl, config.yaml, TensorBoard events, checkpoints, previews, and a report.

    On several GPUs: **torchrun --nproc-per-node 8 -m vaelab train CONFIG**

    Examples:

    - **vaelab train video-tiny**

    - **vaelab train radio-map data.path=RadioMapSeer run.batch_size=8 -o runs/radio**

    Exit codes: 0 trained to the end, 1 stopped by the diagnosis or by non-finite steps, 2 bad settings or data,
    130 interrupted (a checkpoint was saved).
    """
    from vaelab.config.load import load_config

    chosen = load_config(config, settings or [])
    _run(chosen, output if output is not None else Path("runs") / chosen.name, resume)


def resume(
    folder: Annotated[
        Path, typer.Argument(metavar="RUN", show_default=False, help="The folder of a run that was started.")
    ],
    after_stop: Annotated[
        bool,
        typer.Option(
            "--after-stop", help="Go on although the diagnosis, or steps that were not finite, stopped the run."
        ),
    ] = False,
) -> None:
    """Go on with a run from its newest checkpoint. On the CPU the numbers are those of a run that was never interrupted.

    A run that was stopped for a reason stays stopped, also when a job scheduler or torchrun starts it again, until --after-stop is
    given.
    """
    from vaelab.config.load import load_config

    path = folder / "config.yaml"
    if not path.is_file():
        raise ConfigError(
            f"{folder} is not the folder of a run: it has no config.yaml. Give the folder that vaelab train named."
        )
    _run(load_config(str(path)), folder, resume=True, after_stop=after_stop)


def _run(config: TrainConfig, folder: Path, resume: bool, after_stop: bool = False) -> None:
    from vaelab.config.refusals import refuse

    # Threads that wait may spin for a moment only: on a busy two-core machine endless spinning made a step of 0.9 s take 4.1.
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    is_main = int(os.environ.get("RANK", "0")) == 0
    refuse(config.data)
    try:
        if is_main:
            print("vaelab train: loading torch, the data and the networks ...", file=sys.stderr, flush=True)
        _train(config, folder, resume, after_stop, is_main)
    except KeyboardInterrupt:  # before the first step, at the report after the last one, or a second Ctrl-C
        has_checkpoint = any((folder / "checkpoints").glob("step-*"))
        kept = (
            f"Its checkpoints are kept. Go on with: vaelab resume {folder}"
            if has_checkpoint
            else f"There is no checkpoint yet. Start again with: vaelab train ... -o {folder} --resume"
        )
        raise KeyboardInterrupt(f"Interrupted. {kept}") from None


def _train(config: TrainConfig, folder: Path, resume: bool, after_stop: bool, is_main: bool) -> None:
    try:
        import torch  # noqa: F401
    except ImportError:
        raise TrainError("training needs torch, which is not installed here: pip install 'vaelab[train]'") from None
    from vaelab.training import train as run_training
    from vaelab.training.ending import write_ending
    from vaelab.training.screen import Terminal

    screen = Terminal() if is_main else None
    outcome = run_training(config, folder, screen, resume, after_stop)
    if screen is not None:
        ending = write_ending(folder, config.loss.perceptual if config.loss.perceptual_weight > 0 else None)
        screen.end(outcome, ending)
    if outcome.reason != "finished":
        raise typer.Exit(INTERRUPTED if outcome.reason == "interrupted" else STOPPED)


class TrainCommand(Command):
    """Its help ends with the groups of settings; ``--help GROUP`` lists the settings of one."""

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        position = next((i for i, word in enumerate(args) if word in ("--help", "-h")), len(args))
        if position + 1 < len(args):
            word = args[position + 1]
            if text := settings_help(word):
                print(text)
                raise typer.Exit
            if not word.startswith("-"):
                from vaelab.config.options import groups

                raise typer.BadParameter(
                    f"no group or setting is called {word!r}; the groups are {', '.join(groups())}"
                )
        return super().parse_args(ctx, args)

    @property
    def epilog(self) -> str | None:
        return groups_help() if self._asked else None

    @epilog.setter
    def epilog(self, value: str | None) -> None:
        self._asked = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._asked = True
        super().format_help(ctx, formatter)


def groups_help() -> str:
    """The groups of settings with what each is about, for ``vaelab train --help``."""
    from vaelab.config.options import OPTIONS, groups

    count = {name: sum(option.section == name for option in OPTIONS.values()) for name in groups()}
    lines = [f"- **vaelab train --help {name}**: {about} {count[name]} settings.\n" for name, about in groups().items()]
    return "\n".join(["Settings, by group:", "", *lines])


def settings_help(word: str) -> str:
    """Every setting of the group ``word``, or the one setting of that name, with type, default and meaning; else empty."""
    import shutil
    import textwrap

    from vaelab.config.options import OPTIONS

    chosen = [o for o in OPTIONS.values() if o.section == word] or [
        o for o in OPTIONS.values() if word in (o.name, o.key)
    ]
    wrapper = textwrap.TextWrapper(min(shutil.get_terminal_size().columns, 120), "  ", "  ")
    entries = [f"{o.key} ({o.type}; {o.default})\n{wrapper.fill(o.description.replace('``', ''))}" for o in chosen]
    return "\n".join(entries)

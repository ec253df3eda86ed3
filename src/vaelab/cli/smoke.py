"""``vaelab smoke``: two dozen steps that must show that a training works, as a gate for CI."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab.cli.progress import Report, progress
from vaelab.errors import TrainError

if TYPE_CHECKING:
    from vaelab.config import TrainConfig
    from vaelab.training.smoke import Check

OUTPUTS = ("text", "json")
FORMAT = "vaelab.smoke-1"
WORKER = "vaelab.training.smoke_worker"  # what each process runs


def smoke(
    config: Annotated[
        str,
        typer.Argument(
            metavar="PRESET-or-CONFIG", show_default=False, help="A preset or a YAML file of vaelab's settings."
        ),
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", show_default=False, help="Settings that win, such as run.device=cpu."),
    ] = None,
    ranks: Annotated[int, typer.Option("--ranks", min=1, max=64, help="Processes; 2 checks that they stay equal.")] = 1,
    small: Annotated[
        bool, typer.Option("--small", help="Cut clips, batches and networks, for a machine without a GPU.")
    ] = False,
    format: Annotated[str, typer.Option("--format", "-f", metavar="NAME", help="text or json.")] = "text",
) -> None:
    """Run two dozen steps of a training and check that everything in it works.

    The logged terms add up to the logged losses; the perceptual loss reaches the decoder; the discriminator learns to tell
    blurred reconstructions from pictures; gradients are clipped before the step; the EMA moves; a checkpoint loads equal;
    with --ranks 2 both processes hold equal weights. Data and weights that are not at hand are replaced, which is said.

    Examples:

    - **vaelab smoke video-tiny**

    - **vaelab smoke radio-map --small --ranks 2**

    Exit codes: 0 all checks pass, 1 one fails, 2 bad usage, settings or data, 130 interrupted.
    """
    if format not in OUTPUTS:
        raise typer.BadParameter(f"{format!r} is not one of {', '.join(OUTPUTS)}", param_hint="--format")
    from vaelab.config.load import load_config

    chosen = load_config(config, settings or [])
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")
    kept = "Nothing is kept of it; the same command starts again, and --small takes less time."
    with progress("smoke", "loading torch, the data and the networks", kept) as report:
        try:
            import torch  # noqa: F401
        except ImportError:
            raise TrainError("smoke needs torch, which is not installed here: pip install 'vaelab[train]'") from None
        from vaelab.training.smoke_settings import short_settings

        short, notes = short_settings(chosen, small)
        with tempfile.TemporaryDirectory(prefix="vaelab-smoke-") as name:
            folder = Path(name)
            checks = _alone(short, folder, report) if ranks == 1 else _together(short, folder, ranks, notes, report)
    _print(config, checks, notes, format)
    raise typer.Exit(0 if all(check.passed is not False for check in checks) else 1)


def _alone(config: TrainConfig, folder: Path, report: Report) -> list[Check]:
    from vaelab.training import distributed
    from vaelab.training.smoke import smoke as run

    return run(config, folder / "run", distributed.start(config.run.device), report)


def _together(config: TrainConfig, folder: Path, count: int, notes: list[str], report: Report) -> list[Check]:
    """The checks of ``count`` real processes. Raises TrainError if one of them fails on its own account."""
    import torch

    from vaelab.config import dump_config
    from vaelab.training.run_log import METRICS
    from vaelab.training.smoke import Check
    from vaelab.training.smoke_worker import RESULT, SETTINGS

    if torch.cuda.device_count() < count and config.run.device != "cpu":
        config = config.model_copy(update={"run": config.run.model_copy(update={"device": "cpu"})})
        notes.append(f"on the CPU: there are fewer GPUs than the {count} processes")
    (folder / SETTINGS).write_text(dump_config(config), encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    command = [*launcher, "-m", WORKER, str(folder)]
    log, metrics = folder / "output.txt", folder / "run" / METRICS
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            while process.poll() is None:
                rows = metrics.read_bytes().count(b"\n") if metrics.exists() else 0
                part = "checking" if rows >= config.run.steps else "training"
                report(f"{part} with {count} processes", rows if part == "training" else 0, config.run.steps)
                time.sleep(0.2)
        except KeyboardInterrupt:
            process.send_signal(
                signal.SIGTERM
            )  # torchrun ends its processes, where the terminal has not told them already
            raise
    result = folder / RESULT
    if process.returncode != 0 or not result.exists():
        text = log.read_text("utf-8", "replace")
        lines = [line for line in text.splitlines() if "Error" in line and "ChildFailed" not in line]
        why = lines[0].strip() if lines else f"exit code {process.returncode}"
        raise TrainError(
            f"the {count} processes did not come to an end ({why}). VAELAB_DEBUG=1 vaelab train shows more."
        )
    found = json.loads(result.read_text(encoding="utf-8"))
    if "error" in found:
        raise TrainError(found["error"])
    return [Check(**check) for check in found["checks"]]


def _print(name: str, checks: Sequence[Check], notes: Sequence[str], format: str) -> None:
    from vaelab.cli.output import console_for, write_out

    failed = sum(check.passed is False for check in checks)
    if format == "json":
        shown: dict[str, Any] = {
            "format": FORMAT,
            "settings": name,
            "passed": failed == 0,
            "notes": list(notes),
            "checks": [asdict(check) for check in checks],
        }
        write_out(json.dumps(shown, indent=2, ensure_ascii=False), None)
        return
    from rich.table import Table
    from rich.text import Text

    words = {True: Text("pass", "green"), False: Text("FAIL", "bold red"), None: Text("-", "dim")}
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        table.add_row(words[check.passed], check.name, Text(check.text))
    with console_for(None) as console:
        for note in notes:
            console.print(Text(f"note: {note}", "dim"))
        console.print(table)
        passed = sum(check.passed is True for check in checks)
        end = f"{failed} of {passed + failed} checks failed" if failed else f"all {passed} checks pass"
        console.print(Text(f"{name}: {end}", "bold red" if failed else "bold green"))

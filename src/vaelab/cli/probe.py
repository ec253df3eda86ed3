"""``vaelab probe``: measure a trained checkpoint on some clips."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vaelab.cli.declared import declared_config
from vaelab.cli.diagnose import FailOn
from vaelab.cli.judging import fails
from vaelab.cli.progress import progress
from vaelab.errors import ConfigError, TrainError, reason

if TYPE_CHECKING:
    from vaelab.diagnosis import Diagnosis
    from vaelab.probing.result import ProbeResult

OUTPUTS = ("terminal", "json", "markdown")


def probe(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            show_default=False,
            help="A run of vaelab train, one of its checkpoints, a folder of diffusers, or a file of weights.",
        ),
    ],
    data: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA",
            show_default=False,
            help="A folder or file of videos or images, a preset, or a settings file. A run of vaelab train needs none: its"
            " held-out data are taken.",
        ),
    ] = None,
    discriminator: Annotated[
        bool,
        typer.Option(
            "--discriminator", help="Also the discriminator and the gradients of the losses (runs of vaelab train)."
        ),
    ] = False,
    samples: Annotated[int, typer.Option("--samples", min=1, metavar="N", help="Clips to measure on, at most.")] = 64,
    clip: Annotated[
        str | None,
        typer.Option(
            "--clip", metavar="TxHxW", help="Size of a clip, e.g. 17x256x256; else as the run or the model says."
        ),
    ] = None,
    ema: Annotated[bool, typer.Option("--ema", help="The averaged weights of a run of vaelab train.")] = False,
    scale: Annotated[
        float | None,
        typer.Option(
            "--scale", min=1e-9, metavar="FACTOR", help="The scale factor in use, to be checked: (z - shift) * FACTOR."
        ),
    ] = None,
    shift: Annotated[float, typer.Option("--shift", metavar="VALUE", help="The shift that belongs to --scale.")] = 0.0,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            show_default=False,
            help="Where probe.json, probe.md, probe.html and pictures go; without it the folder probe, of the run if there is one.",
        ),
    ] = None,
    pictures: Annotated[bool, typer.Option("--pictures/--no-pictures", help="Draw pictures.")] = True,
    format: Annotated[
        str, typer.Option("--format", "-f", metavar="NAME", help="What to print: terminal, json or markdown.")
    ] = "terminal",
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="End with exit code 1 if a finding is at least this bad.")
    ] = FailOn.critical,
) -> None:
    """Measure a trained autoencoder on some clips: is its latent healthy, does its decoder bear noise, which scale factor
    does it need, is its discriminator of any use?

    The result is written as probe.json. Beside the log of a run of vaelab train it sharpens what **vaelab diagnose** says
    of that run; for other trainers give it with **vaelab diagnose LOG --probe probe.json**.

    Examples:

    - **vaelab probe runs/video-tiny --discriminator**

    - **vaelab probe vae/ my-clips/ --clip 17x256x256 --scale 0.18215**

    Exit codes: 0 nothing as bad as --fail-on, 1 something is, 2 bad usage or unreadable input.
    """
    if format not in OUTPUTS:
        raise ConfigError(f"--format {format}: choose one of {', '.join(OUTPUTS)}.")
    size = declared_config(clip=clip).get("clip_shape") if clip else None
    os.environ.setdefault(
        "GOMP_SPINCOUNT", "30000"
    )  # waiting threads sleep: on a busy machine they took most of the time
    kept = "Nothing was written; the same command with fewer --samples takes less time."
    with progress("probe", "loading torch and the checkpoint", kept) as report:
        try:
            import torch  # noqa: F401
        except ImportError:
            raise TrainError("probing needs torch, which is not installed here: pip install 'vaelab[train]'") from None
        from vaelab.models.opening import find_checkpoint
        from vaelab.probing import probe as measure
        from vaelab.probing.render import judge
        from vaelab.probing.result import ProbeError

        found = find_checkpoint(checkpoint, ema)
        folder = output or (found.run / "probe" if found.run is not None else Path("probe"))
        try:
            folder.mkdir(parents=True, exist_ok=True)  # before the work, so that it is not done in vain
        except OSError as error:
            raise ConfigError(
                f"{folder} cannot be written: {error.strerror or error}. Choose another --output."
            ) from None
        try:
            result = measure(
                checkpoint,
                data,
                clips=samples,
                size=(size[0], size[1], size[2]) if size else None,
                ema=ema,
                discriminator=discriminator,
                scale=scale,
                shift=shift,
                device=device,
                folder=folder if pictures else None,
                progress=report,
            )
        except RuntimeError as error:  # torch's: no memory left, an operation that a device lacks
            raise ProbeError(
                f"{checkpoint} cannot be run on these clips ({reason(error)}). Try a smaller --clip, or --device cpu."
            ) from error
        report("judging", 0, 0)
        diagnosis = judge(result)
    written = _write(result, diagnosis, folder, found.run)
    _print(result, diagnosis, format)
    pictured = f" and {len(result.pictures)} pictures" if result.pictures else ""
    said = f"\nWritten: {', '.join(map(str, written))}{pictured} in {folder}"
    print(said, file=sys.stderr if format != "terminal" else sys.stdout)
    raise typer.Exit(1 if fails([diagnosis], fail_on.value) else 0)


def _write(result: ProbeResult, diagnosis: Diagnosis, folder: Path, run: Path | None) -> list[Path]:
    """probe.md and probe.html in ``folder``, and probe.json there; for a ``run`` beside its log, where diagnose finds it, and in
    ``folder`` only where that is another place than the run's own."""
    from vaelab.cli.measured import probe_page
    from vaelab.probing.render import to_markdown
    from vaelab.report import files

    places = [folder] if run is None else [run] if folder == run / "probe" else [run, folder]
    written = [result.write(place / "probe.json") for place in places]
    files.write_text(folder / "probe.md", to_markdown(result, diagnosis))
    page = folder / "probe.html"
    files.write_text(page, probe_page(result, diagnosis, folder))
    return [*written, page]


def _print(result: ProbeResult, diagnosis: Diagnosis, format: str) -> None:
    from vaelab import report
    from vaelab.cli.output import console_for, write_out
    from vaelab.probing.render import show, to_markdown

    if format == "terminal":
        with console_for(None) as console:
            show(result, diagnosis, console)
    elif format == "markdown":
        write_out(to_markdown(result, diagnosis), None)
    else:
        whole: dict[str, Any] = {**result.to_dict(), "diagnosis": json.loads(report.to_json([diagnosis]))}
        write_out(json.dumps(whole, indent=1), None)

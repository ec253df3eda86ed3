"""``vaelab evaluate``: scores of checkpoints on held-out clips."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from vaelab.cli.declared import declared_config
from vaelab.cli.diagnose import FailOn
from vaelab.cli.judging import fails
from vaelab.cli.progress import Report, progress
from vaelab.errors import CheckpointError, ConfigError, TrainError

if TYPE_CHECKING:
    from rich.console import Console

    from vaelab.evaluation.result import Evaluation
    from vaelab.models.opening import Checkpoint

OUTPUTS = ("terminal", "json", "markdown")
MOST_PUBLISHED = 8  # rows on the screen; the page and the JSON have all


def evaluate(
    checkpoints: Annotated[
        list[str],
        typer.Argument(
            metavar="CHECKPOINT [DATA]",
            show_default=False,
            help="Runs of vaelab train, their checkpoints, folders of diffusers, or files of weights; then a folder, file"
            " or .txt list of clips or images, a preset or settings file. For a run of vaelab train DATA may be left out:"
            " its held-out data are taken.",
        ),
    ],
    data: Annotated[
        str | None, typer.Option("--data", metavar="DATA", show_default=False, help="The same as DATA at the end.")
    ] = None,
    clips: Annotated[int, typer.Option("--clips", "-n", min=1, metavar="N", help="Clips or images, at most.")] = 16,
    clip: Annotated[
        str | None,
        typer.Option(
            "--clip", metavar="TxHxW", show_default=False, help="Size of a clip, e.g. 17x256x256; else as the data say."
        ),
    ] = None,
    ema: Annotated[bool, typer.Option("--ema/--raw", help="The averaged weights, or the raw ones.")] = False,
    both: Annotated[bool, typer.Option("--both", help="Raw and averaged weights side by side.")] = False,
    lpips: Annotated[
        str, typer.Option("--lpips", metavar="NAME", help="auto, off, vgg16, stlpips-vgg or stlpips-alex.")
    ] = "auto",
    fvd: Annotated[bool, typer.Option("--fvd", help="Also the Fréchet video distance (I3D); slow on a CPU.")] = False,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            show_default=False,
            help="Where evaluation.json and evaluation.md go; without it into the run, if there is one.",
        ),
    ] = None,
    format: Annotated[
        str, typer.Option("--format", "-f", metavar="NAME", help="What to print: terminal, json or markdown.")
    ] = "terminal",
    fail_on: Annotated[
        FailOn, typer.Option("--fail-on", help="End with exit code 1 if a finding is at least this bad.")
    ] = FailOn.critical,
) -> None:
    """Score autoencoders on held-out clips: PSNR, SSIM, LPIPS, fine detail, motion, colours, a grid, seams of chunks.

    Several checkpoints see the same clips: differences are paired, with intervals over clips. Faults that the numbers show
    are named by code (**vaelab explain REC121**). Beside the log of a run of vaelab train, evaluation.json sharpens what
    **vaelab diagnose** says of that run.

    Examples:

    - **vaelab evaluate runs/video-tiny --both**

    - **vaelab evaluate runs/a runs/b vae/ my-clips/ --clip 17x256x256**

    - **vaelab evaluate model-30.pt maps.txt -f json**

    Exit codes: 0 nothing as bad as --fail-on, 1 something is, 2 bad usage or unreadable input, 130 interrupted.
    """
    if format not in OUTPUTS:
        raise ConfigError(f"--format {format}: choose one of {', '.join(OUTPUTS)}.")
    size = declared_config(clip=clip).get("clip_shape") if clip else None
    kept = "Nothing was written; the same command with fewer --clips takes less time."
    with progress("evaluate", "loading torch and the checkpoint", kept) as report:
        try:
            import torch  # noqa: F401
        except ImportError:
            raise TrainError(
                "evaluating needs torch, which is not installed here: pip install 'vaelab[train]'"
            ) from None
        from vaelab.evaluation.opening import find_models

        paths, held_out = _split(checkpoints, data)
        found = find_models(paths, "both" if both else "ema" if ema else "raw")
        evaluation, interrupted = _measure(found, held_out, size, clips, lpips, fvd, device, report)
    written = _write(evaluation, found, output)
    _print(evaluation, format)
    if written:
        print(f"\nWritten: {', '.join(map(str, written))}", file=sys.stdout if format == "terminal" else sys.stderr)
    if interrupted:
        raise KeyboardInterrupt(f"{evaluation.notes[0]} The same command measures all of them.")
    raise typer.Exit(1 if fails(evaluation.diagnoses, fail_on.value) else 0)


def _split(names: list[str], data: str | None) -> tuple[list[str], str | None]:
    """The checkpoints and the data: the last name is the data unless it is a checkpoint here too."""
    from vaelab.models.opening import find_checkpoint

    if data is not None or len(names) == 1:
        return names, data
    if not Path(names[-1]).exists():  # a preset, or a slip of the pen, rather than a model on the hub
        return names[:-1], names[-1]
    try:
        find_checkpoint(names[-1])
    except CheckpointError:
        return names[:-1], names[-1]
    return names, None


def _measure(
    found: dict[str, Checkpoint],
    data: str | None,
    size: list[int] | None,
    count: int,
    lpips: str,
    fvd: bool,
    device: str,
    report: Report,
) -> tuple[Evaluation, bool]:
    """What was measured, and whether Ctrl-C ended it before the last clip."""
    from vaelab.evaluation.clips import open_clips
    from vaelab.evaluation.evaluate import check_fvd, evaluate
    from vaelab.evaluation.opening import load_models, lpips_network
    from vaelab.evaluation.result import Evaluation
    from vaelab.models.tiling import check_size

    models = load_models(found, device)
    first = next(iter(models.values()))
    run = next((checkpoint.run for checkpoint in found.values() if checkpoint.run is not None), None)
    frames, resolution = (size[0], (size[1], size[2])) if size else (None, None)
    report("looking for the data", 0, 0)
    clips = open_clips(data, run, first.grid, first.channels, count, frames, resolution)
    for title, model in models.items():
        check_size(model.grid, clips.config.frames, *clips.config.resolution, who=title)
    network, notes = lpips_network(lpips, *clips.config.resolution)
    if fvd:
        check_fvd(clips.config.frames)
    whole, done = count * len(models), itertools.count(1)
    report("reconstructing and scoring", 0, whole)
    tables, interrupted = evaluate(
        models, clips, network, fvd, lambda: report("reconstructing and scoring", next(done), whole)
    )
    report("judging", 0, 0)
    kind: Literal["image", "video"] = "video" if clips.config.frames > 1 else "image"
    said = [*([notes] if notes else []), *_not_computed(kind, fvd)]
    said += clips.notes
    said += dict.fromkeys(model.in_diffusers for model in models.values() if model.in_diffusers)
    if interrupted:
        said.insert(0, f"Interrupted: {len(tables[0])} of up to {count} clips were measured.")
    name = network.name if network else ""
    return Evaluation(tables, clips.describe(), kind, first.latent_channels, name, said), interrupted


def _not_computed(kind: str, fvd: bool) -> list[str]:
    if kind == "image":
        return [
            "rFID was not computed: vaelab has no weights of the Inception network of FID, and takes no other in its place."
        ]
    return [] if fvd else ["rFVD was not computed: --fvd adds it (I3D, Kinetics-400)."]


def _write(evaluation: Evaluation, found: dict[str, Checkpoint], output: Path | None) -> list[Path]:
    """evaluation.json and .md in ``output``, and in the folder of each run, there with the numbers of its own checkpoint."""
    from vaelab.cli.measured import evaluation_page
    from vaelab.evaluation.result import to_json, to_markdown
    from vaelab.report import files

    places: dict[Path, int] = {}
    for number, checkpoint in enumerate(found.values()):
        if checkpoint.run is not None:
            places.setdefault(checkpoint.run, number)
    if output is not None:
        files.make_folder(output)
        places.setdefault(output, 0)
    page, looked_at, written = to_markdown(evaluation), evaluation_page(evaluation), []
    for folder, number in places.items():
        written.append(files.write_text(folder / "evaluation.json", to_json(evaluation, number)))
        written.append(files.write_text(folder / "evaluation.md", page))
        written.append(files.write_text(folder / "evaluation.html", looked_at))
    return written


def _print(evaluation: Evaluation, format: str) -> None:
    from vaelab.cli.output import console_for, write_out
    from vaelab.evaluation.result import to_json, to_markdown

    if format == "terminal":
        with console_for(None) as console:
            _show(evaluation, console)
    else:
        write_out(to_json(evaluation) if format == "json" else to_markdown(evaluation), None)


def _show(evaluation: Evaluation, console: Console) -> None:
    from rich.text import Text

    from vaelab.evaluation.result import PUBLISHED_WARNING, published_rows

    for text in evaluation.legend():
        console.print(Text(text, style="bold"))
    console.print(rich_table(evaluation.header(), evaluation.rows(), left=3))
    for text in evaluation.explanations():
        console.print(Text(f"- {text}", style="dim"))
    console.print()
    for table, diagnosis in zip(evaluation.tables, evaluation.diagnoses, strict=True):
        if len(evaluation.tables) > 1:
            console.print(Text(table.title, style="bold"))
        for finding in diagnosis.findings:
            style = "bold red" if finding.severity == "critical" else "yellow"
            console.print(
                Text.assemble((finding.severity, style), f" {finding.code} {finding.name}: {finding.message}")
            )
        for cause in diagnosis.causes[:2]:
            console.print(Text(f"  {cause.score:.0%} {cause.id} {cause.title}"))
        if not diagnosis.findings:
            console.print("No fault found in these numbers.")
    codes = {finding.code: None for diagnosis in evaluation.diagnoses for finding in diagnosis.findings}
    if codes:
        console.print(Text(f"What to do: {'; '.join(f'vaelab explain {code}' for code in codes)}", style="dim"))
    console.print()
    console.print(Text(PUBLISHED_WARNING))
    console.print(rich_table(*published_rows(evaluation, MOST_PUBLISHED), left=2))
    for note in evaluation.notes:
        console.print(Text(note))


def rich_table(header: list[str], rows: list[list[str]], left: int) -> object:
    """A table for the screen whose first ``left`` columns stand on the left side."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for number, title in enumerate(header):
        is_number = number >= left
        table.add_column(Text(title), justify="right" if is_number else "left", overflow="fold", no_wrap=is_number)
    for row in rows:
        table.add_row(*map(Text, row))
    return table

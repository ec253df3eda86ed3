"""``vaelab reconstruct``: images and videos through an autoencoder, beside the originals."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli.progress import Report, progress
from vaelab.errors import DataError, TrainError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vaelab.evaluation.media import Media
    from vaelab.evaluation.reconstruct import How, Row
    from vaelab.losses import Perceptual
    from vaelab.models import Autoencoder


class Mode(str, Enum):
    """Which latent is decoded."""

    mean = "mean"
    sample = "sample"


def reconstruct(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT",
            show_default=False,
            help="A run of vaelab train, one of its checkpoints, a folder of diffusers, or a file of weights of Pyramid-Flow,"
            " RadioDiff or CompVis.",
        ),
    ],
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT", show_default=False, help="Images, videos, or folders of them, of any size."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where pictures and tables go.")
    ] = Path("reconstructions"),
    ema: Annotated[bool, typer.Option("--ema/--raw", help="The averaged weights, or the raw ones.")] = False,
    both: Annotated[bool, typer.Option("--both", help="Raw and averaged weights side by side.")] = False,
    mode: Annotated[Mode, typer.Option("--mode", help="Decode the posterior's mean, or a sample of it.")] = Mode.mean,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the sample's noise.")] = 0,
    tiled: Annotated[
        bool | None,
        typer.Option(
            "--tiled/--whole",
            show_default=False,
            help="Cut frames into tiles that overlap, or take them whole; else frames over 512 x 512 pixels are cut.",
        ),
    ] = None,
    tile: Annotated[int, typer.Option("--tile", min=1, metavar="PIXELS", help="Side of a tile.")] = 256,
    chunk: Annotated[
        int | None,
        typer.Option(
            "--chunk",
            min=1,
            metavar="FRAMES",
            show_default=False,
            help="Frames at once; else about 17, on the model's grid.",
        ),
    ] = None,
    gain: Annotated[
        float | None,
        typer.Option(
            "--gain",
            metavar="FACTOR",
            show_default=False,
            help="How much the error is amplified; else as much as the first file's error allows, the same for all files.",
        ),
    ] = None,
    alone: Annotated[bool, typer.Option("--alone", help="Also write each reconstruction by itself.")] = False,
    lpips: Annotated[
        str, typer.Option("--lpips", metavar="NAME", help="off, auto, vgg16, stlpips-vgg or stlpips-alex.")
    ] = "off",
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
) -> None:
    """Send images and videos through an autoencoder: original, reconstruction and amplified error side by side, a page with a slider between them, and a table.

    Any length and size: videos are read, reconstructed and written in chunks of frames, so memory does not grow with their
    length; sizes off the model's grid are padded and cropped back. The folder then holds NAME_reconstruction.png or .mp4,
    reconstructions.html, table.csv, table.json and table.md.

    Examples:

    - **vaelab reconstruct runs/video-tiny clip.mp4 --both**

    - **vaelab reconstruct vae/ photos/ -o out --tiled --tile 512**

    - **vaelab reconstruct causal_video_vae/ film.mp4 --mode sample**

    Exit codes: 0 all done, 1 some files could not be read to their end, 2 bad usage or nothing to read, 130 interrupted (the
    table holds what was done).
    """
    kept = "Nothing was written; the same command starts again."
    with progress("reconstruct", "loading torch and the checkpoint", kept) as report:
        try:
            import torch  # noqa: F401
        except ImportError:
            raise TrainError(
                "reconstructing needs torch, which is not installed here: pip install 'vaelab[train]'"
            ) from None
        from vaelab.data.files import MediaFile
        from vaelab.data.sixteen_bits import doubt
        from vaelab.evaluation.clips import white_level
        from vaelab.evaluation.opening import find_models, load_models, lpips_network
        from vaelab.evaluation.reconstruct import How
        from vaelab.report import files

        found = find_models([checkpoint], "both" if both else "ema" if ema else "raw")
        white = white_level(next(iter(found.values())).run)
        media, problems = _open(inputs, white)
        titles = ["raw", "EMA"] if both else ["reconstruction"]
        models = dict(zip(titles, load_models(found, device).values(), strict=True))
        network, _ = lpips_network(lpips, min(m.height for m in media), min(m.width for m in media))
        how = How(tiled, tile, chunk, mode is Mode.sample, seed, gain or 1.0, alone)
        if gain is None:
            report("choosing the gain of the error pictures", 0, 0)
            how = replace(how, gain=_gain(media, models, how))
        files.make_folder(output)
        rows, interrupted = _all(media, models, output, how, network, problems, report)
    where = {title: str(checkpoint.weights) for title, checkpoint in zip(titles, found.values(), strict=True)}
    images = [MediaFile(one.name, one.path, False) for one in media if not one.is_video]
    notes = [*filter(None, [doubt(images, white)])]
    notes += list(dict.fromkeys(model.in_diffusers for model in models.values() if model.in_diffusers))
    _show(rows, problems, output, where, how, network.name if network else "", notes)
    if interrupted:
        done = len({row.name for row in rows})
        raise KeyboardInterrupt(
            f"Interrupted after {done} of {len(media)} files; the table holds these. To go on, give the other files and another"
            " --output."
        )
    raise typer.Exit(1 if problems else 0)


def _open(inputs: list[str], white: int) -> tuple[list[Media], list[str]]:
    """What can be opened, and why the rest cannot. Raises DataError if nothing can."""
    from vaelab.evaluation.media import find_media, open_media

    media, problems = [], []
    for path, name in find_media(inputs):
        try:
            media.append(open_media(path, name, white))
        except DataError as error:
            problems.append(str(error))
    if not media:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise DataError(f"{problems[0]}{more}")
    return media, problems


def _all(
    media: list[Media],
    models: Mapping[str, Autoencoder],
    output: Path,
    how: How,
    network: Perceptual | None,
    problems: list[str],
    report: Report,
) -> tuple[list[Row], bool]:
    """Rows of all files, and whether Ctrl-C ended it; what goes wrong with one file is added to ``problems``."""
    from vaelab.evaluation.reconstruct import reconstruct
    from vaelab.report import files

    rows: list[Row] = []
    taken: set[Path] = set()
    for one in media:
        report(one.name, 0, one.frames)
        target, done = _target(output, one.name, taken), [0]
        files.make_folder(target.parent)

        def step(name: str = one.name, whole: int = one.frames, done: list[int] = done) -> None:
            done[0] += 1
            report(name, done[0], max(whole, done[0]))

        try:
            made = reconstruct(one, models, target, how, network, step)
        except DataError as error:
            problems.append(str(error))
            continue
        except KeyboardInterrupt:
            return rows, True
        rows += made
        problems += [made[0].problem] if made[0].problem else []
    return rows, False


def _gain(media: list[Media], models: Mapping[str, Autoencoder], how: How) -> float:
    """What the first file that can be read allows."""
    from vaelab.evaluation.reconstruct import gain_for

    for one in media:
        try:
            return gain_for(one, models, how)
        except DataError:  # said when its turn comes
            continue
    return 1.0


def _target(output: Path, name: str, taken: set[Path]) -> Path:
    """Where the pictures of a file go, without suffix; a number tells files of one name apart."""
    base = output / Path(name).with_suffix("")
    target, number = base.with_name(f"{base.name}_reconstruction"), 2
    while target in taken:
        target, number = base.with_name(f"{base.name}_reconstruction_{number}"), number + 1
    taken.add(target)
    return target


def _show(
    rows: list[Row],
    problems: list[str],
    output: Path,
    where: Mapping[str, str],
    how: How,
    lpips: str,
    notes: Sequence[str],
) -> None:
    """Write the tables, print them, and say what was done to the clips and what went wrong."""
    from rich.text import Text

    from vaelab.cli.evaluate import rich_table
    from vaelab.cli.output import console_for
    from vaelab.evaluation.reconstruct import for_page, table, to_csv, to_json
    from vaelab.evaluation.result import markdown_table
    from vaelab.report import files
    from vaelab.report.reconstruction_page import reconstruction_page

    header, cells = table(rows)
    lines = [f"{title}: {weights}" for title, weights in where.items()]
    lines.append(
        f"Decoded: {f'a sample of the posterior (seed {how.seed})' if how.sample else 'the mean of the posterior'}."
    )
    lines += [f"LPIPS: {lpips}."] if lpips else []
    lines.append("Columns: as in docs/evaluation.md; flicker and colour in 8-bit levels.")
    lines += list(dict.fromkeys(f"{row.height} x {row.width}: {row.cut}." for row in rows))
    lines += notes
    files.write_text(output / "table.csv", to_csv(rows))
    files.write_text(output / "table.json", to_json(rows, where, how, lpips))
    page = ["# Reconstructions", "", *markdown_table(header, cells), "", *(f"- {line}" for line in [*lines, *problems])]
    files.write_text(output / "table.md", "\n".join(page) + "\n")
    pictures = reconstruction_page(for_page(rows, output), where, how.gain, header, cells)
    files.write_text(output / "reconstructions.html", pictures)
    with console_for(None) as console:
        if rows:
            console.print(rich_table(*table(rows, short=True), left=1))
        for line in lines:
            console.print(Text(line, style="dim"))
        for problem in problems:
            console.print(Text(problem, style="yellow"))
        console.print(
            Text(
                f"Written: {output}: pictures of {len({row.name for row in rows})} files, reconstructions.html, table.csv, .json, .md"
            )
        )

"""Pictures of a probe: rows of small images with a title over each row."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from vaelab.evaluation.pictures import to_uint8
from vaelab.models import Autoencoder
from vaelab.probing.decoder import NOISE_SHARES
from vaelab.probing.result import ProbeError

SMALLEST_TILE = 128  # pixels of the longer side; smaller pictures are enlarged without smoothing
STRIP, GAP, FONT_SIZE = 20, 4, 13
BACKGROUND, TEXT = (24, 24, 24), (235, 235, 235)
SHOWN_CLIPS, SHOWN_CHANNELS, STEPS_BETWEEN = 3, 16, 5

Row = tuple[str, Sequence[tuple[str, torch.Tensor]]]


def write_rows(path: Path, rows: Sequence[Row]) -> Path:
    """One PNG. rows: (title, pictures), a picture being (caption, (C, H, W) in [-1, 1], C = 1 or 3). Errors: ProbeError."""
    tiles = [[(caption, _tile(picture)) for caption, picture in pictures] for _, pictures in rows]
    width = max(sum(t.width + GAP for _, t in row) for row in tiles) + GAP
    heights = [2 * STRIP + max(t.height for _, t in row) + GAP for row in tiles]
    font = ImageFont.load_default(FONT_SIZE)
    width = max(width, *(int(font.getlength(title)) + 2 * GAP for title, _ in rows))
    canvas = Image.new("RGB", (width, sum(heights)), BACKGROUND)
    draw, top = ImageDraw.Draw(canvas), 0
    for (title, _), row, height in zip(rows, tiles, heights, strict=True):
        draw.text((GAP, top + 3), title, TEXT, font)
        left = GAP
        for caption, tile in row:
            draw.text((left, top + STRIP + 1), caption, TEXT, font)
            canvas.paste(tile, (left, top + 2 * STRIP))
            left += tile.width + GAP
        top += height
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.save(path, format="PNG")
    except OSError as error:
        raise ProbeError(f"{path} cannot be written: {error.strerror or error}. Choose another --output.") from None
    return path


def _tile(picture: torch.Tensor) -> Image.Image:
    picture = picture.detach().float().cpu().nan_to_num()
    factor = max(1, math.ceil(SMALLEST_TILE / max(picture.shape[-2:])))
    pixels = to_uint8(picture.expand(3, -1, -1)).permute(1, 2, 0).numpy()
    return Image.fromarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1))


def _middle(clips: torch.Tensor) -> torch.Tensor:
    """(B, C, T, H, W) -> (B, C, H, W): the middle frame."""
    return clips[:, :, clips.shape[2] // 2]


@torch.no_grad()
def draw_all(folder: Path, model: Autoencoder, x: torch.Tensor, response: torch.Tensor) -> list[Path]:
    """All pictures, of the middle frame of the first clips ``x`` (B, C, T, H, W); ``response`` is that of one cell."""
    x = x[:SHOWN_CLIPS]
    mean, _ = model.encode(x)
    flat = mean.transpose(0, 1).flatten(1)
    centre, spread = flat.mean(1).view(1, -1, 1, 1, 1), flat.std(1).clamp(min=1e-6).view(1, -1, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(mean.shape, generator=generator).to(mean)
    shots = _middle(x)

    channels = _middle((mean - centre) / (3 * spread)).clamp(-1, 1)
    files = [
        write_rows(
            folder / "channels.png",
            [
                (
                    f"clip {i + 1} and its latent channels: mean -3 to +3 standard deviations is black to white",
                    [("clip", shots[i])]
                    + [(f"{c}", channels[i, c : c + 1]) for c in range(min(SHOWN_CHANNELS, channels.shape[1]))],
                )
                for i in range(len(x))
            ],
        )
    ]
    noisy = {share: _middle(model.decode(mean + share * spread * noise)) for share in (0.0, *NOISE_SHARES)}
    title = "noise on the latent, as a share of each channel's standard deviation"
    files.append(
        write_rows(
            folder / "noise.png",
            [
                (title, [("clip", shots[i]), *((f"{share:.0%}", frames[i]) for share, frames in noisy.items())])
                for i in range(len(x))
            ],
        )
    )
    files.append(
        write_rows(
            folder / "prior.png",
            [
                (
                    "latents drawn from N(0, 1). Noise here is no fault: this prior was not trained to be sampled",
                    [(f"{i + 1}", p) for i, p in enumerate(_middle(model.decode(noise)))],
                ),
                (
                    "each cell drawn on its own, with the mean and standard deviation of its channel",
                    [(f"{i + 1}", p) for i, p in enumerate(_middle(model.decode(centre + spread * noise)))],
                ),
            ],
        )
    )
    if len(x) > 1:
        files.append(write_rows(folder / "interpolation.png", _between(model, x, mean)))
    shown = [int(t) for t in torch.nonzero(response.amax((1, 2)) > 0.01).flatten()][:8] or [0]
    frames = [(f"frame {t + 1}", 2 * response[t : t + 1].clamp(min=1e-4).log10() / 4 + 1) for t in shown]
    files.append(
        write_rows(
            folder / "cell.png",
            [("response to one latent cell: white is the largest, black a ten-thousandth of it or less", frames)],
        )
    )
    return files


def _between(model: Autoencoder, x: torch.Tensor, mean: torch.Tensor) -> list[Row]:
    """Straight lines between the latents of neighbouring clips, and between their pixels for comparison."""
    shares = [k / (STEPS_BETWEEN - 1) for k in range(STEPS_BETWEEN)]
    rows: list[Row] = []
    for i in range(len(x) - 1):
        z = torch.stack([torch.lerp(mean[i], mean[i + 1], share) for share in shares])
        pixels = torch.stack([torch.lerp(x[i], x[i + 1], share) for share in shares])
        for title, clips in (
            ("between two latents, decoded", model.decode(z)),
            ("between the two clips' pixels", pixels),
        ):
            rows.append((title, [(f"{share:.0%}", p) for share, p in zip(shares, _middle(clips), strict=True)]))
    return rows

"""Opens a trained autoencoder, whatever wrote it: vaelab, diffusers, Pyramid-Flow, RadioDiff or CompVis."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from torch import nn

from vaelab.errors import CheckpointError, ConfigError
from vaelab.files import read_text
from vaelab.models.autoencoder import Autoencoder, load_autoencoder
from vaelab.models.convert import convert_file

WEIGHT_FILES = frozenset({".pt", ".pth", ".ckpt", ".bin", ".safetensors"})
_STEP = re.compile(r"step-(\d{8,})")
_HUB = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Checkpoint:
    """Where the weights are. weights: a folder of diffusers' save_pretrained, a file of weights, or an id on the hub.

    run: the folder of the run of ``vaelab train`` that it belongs to, step: updates done; None for others. ema: whether
    the averaged weights are meant. mark: ``best`` or ``newest`` where a whole run was given.
    """

    weights: Path | str
    run: Path | None = None
    step: int | None = None
    ema: bool = False
    mark: str = ""

    @property
    def title(self) -> str:
        """Short, for a table: ``my-run step 1000 EMA``."""
        if self.run is not None:
            return f"{self.run.resolve().name} step {self.step}{' EMA' if self.ema else ''}"
        path = Path(self.weights)
        name = path.stem if path.suffix in WEIGHT_FILES else path.name
        if name in ("vae", "autoencoder", "autoencoder_ema"):
            name = f"{path.resolve().parent.name}/{name}"
        return f"{name} EMA" if self.ema else name


def open_checkpoint(path: str | Path, ema: bool = False) -> Autoencoder:
    """The autoencoder in ``path``: on the CPU, float32, in evaluation mode, without gradients.

    path: a run folder of ``vaelab train`` (its best checkpoint, else its newest), one of its checkpoints, a folder written
    by diffusers' save_pretrained (a pipeline's ``vae`` is found), an id on the hub, or a file of weights of Pyramid-Flow,
    RadioDiff or CompVis (.pt, .pth, .ckpt, .bin, .safetensors; no code in them is run). ema: the averaged weights.

    Errors: CheckpointError for what is missing, damaged, or of a kind that is not known.
    """
    return load(find_checkpoint(path, ema))


def find_checkpoint(path: str | Path, ema: bool = False) -> Checkpoint:
    """Where the weights of ``path`` are; nothing is loaded. Errors: CheckpointError as in :func:`open_checkpoint`."""
    place = Path(path).expanduser()
    try:
        if place.is_file():
            return _of_file(place, ema)
        if place.is_dir():
            return _of_folder(place, ema)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}.") from None
    if _HUB.fullmatch(str(path)):
        return Checkpoint(str(path), ema=_refuse_ema(ema, path))
    raise CheckpointError(f"{path} does not exist: give a run folder, a checkpoint, or a file of weights.")


def load(checkpoint: Checkpoint) -> Autoencoder:
    """The autoencoder of a checkpoint that was found. Errors: CheckpointError as in :func:`open_checkpoint`."""
    settings, weights = _settings(checkpoint.run), checkpoint.weights
    try:
        if isinstance(weights, Path) and weights.is_file():
            module = convert_file(weights, checkpoint.ema)
            model = Autoencoder(module, _channels(module))
        else:
            model = load_autoencoder(str(weights), settings.get("channels"), settings.get("deterministic", False))
    except ConfigError as error:
        raise CheckpointError(str(error).removeprefix("model.pretrained: ")) from None
    return model.eval().requires_grad_(False)


def _of_file(path: Path, ema: bool) -> Checkpoint:
    step_folder = path.parent if _STEP.fullmatch(path.parent.name) else None
    if step_folder is not None:
        raise CheckpointError(f"{path} is one part of a checkpoint: give its folder {step_folder}.")
    if path.suffix == ".safetensors" and (path.parent / "config.json").is_file():
        return _of_folder(path.parent, ema)
    if path.suffix not in WEIGHT_FILES:
        raise CheckpointError(
            f"{path} is not known as a file of weights ({', '.join(sorted(WEIGHT_FILES))}): give a run folder, a checkpoint,"
            " or a file of weights."
        )
    return Checkpoint(path, ema=ema)


def _of_folder(path: Path, ema: bool) -> Checkpoint:
    if (path / "config.json").is_file():
        step_folder = path.resolve().parent
        if match := _STEP.fullmatch(step_folder.name):
            return _of_step(step_folder, match, ema or path.name == "autoencoder_ema")
        _refuse_ema(ema, path)
        return Checkpoint(_pyramid_flow_file(path) or path)
    if match := _STEP.fullmatch(path.resolve().name):
        return _of_step(path, match, ema)
    checkpoints = path if path.name == "checkpoints" else path / "checkpoints"
    if checkpoints.is_dir():
        return _of_run(checkpoints, ema)
    if (path / "vae" / "config.json").is_file():
        return Checkpoint(path / "vae", ema=_refuse_ema(ema, path))
    raise CheckpointError(
        f"{path} holds no autoencoder: no config.json as diffusers writes it, and no checkpoints of vaelab train."
    )


def _pyramid_flow_file(folder: Path) -> Path | None:
    """The weights in a folder that Pyramid-Flow's CausalVideoVAE wrote; its class has the name of ours."""
    try:
        config = json.loads(read_text(folder / "config.json"))
    except (OSError, ValueError):
        return None
    if not isinstance(config, dict) or config.get("_class_name") != "CausalVideoVAE":
        return None
    if "encoder_block_out_channels" not in config:  # ours
        return None
    files = sorted(p for p in folder.iterdir() if p.stem == "diffusion_pytorch_model" and p.suffix in WEIGHT_FILES)
    if not files:
        raise CheckpointError(
            f"{folder} has the config.json of Pyramid-Flow's VAE but no diffusion_pytorch_model file."
        )
    return files[-1]


def _of_run(checkpoints: Path, ema: bool) -> Checkpoint:
    steps = sorted(p for p in checkpoints.iterdir() if _STEP.fullmatch(p.name) and p.is_dir())
    if not steps:
        raise CheckpointError(f"{checkpoints} holds no checkpoint: the run has not written one yet.")
    chosen, mark = steps[-1], "newest"
    try:
        best = json.loads(read_text(checkpoints / "index.json")).get("best")
        if (checkpoints / str(best)) in steps:
            chosen, mark = checkpoints / str(best), "best"
    except (OSError, ValueError, AttributeError):
        pass  # a run without validations has no index
    match = _STEP.fullmatch(chosen.name)
    assert match is not None
    return _of_step(chosen, match, ema, mark)


def _of_step(path: Path, match: re.Match[str], ema: bool, mark: str = "") -> Checkpoint:
    weights = path / ("autoencoder_ema" if ema else "autoencoder")
    if not weights.is_dir():
        problem = (
            "has no averaged weights: its run has optim.ema_decay 0" if ema else "is not whole: it has no autoencoder"
        )
        raise CheckpointError(f"{path} {problem}.")
    folder = path.resolve().parent
    run = folder.parent if folder.name == "checkpoints" else None
    return Checkpoint(weights, run, int(match[1]), ema, mark)


def _channels(module: Any) -> int:
    """Channels of the pixels that a converted module takes: those of its first convolution."""
    return next(layer for layer in module.encoder.modules() if isinstance(layer, nn.Conv2d | nn.Conv3d)).in_channels


def _refuse_ema(ema: bool, path: str | Path) -> bool:
    if ema:
        raise CheckpointError(
            f"{path} holds one set of weights and says not whether it is an average: leave out --ema."
        )
    return False


def _settings(run: Path | None) -> dict[str, Any]:
    """Channels of the pixels and whether the latent is never sampled, as the run's config.yaml says; else empty."""
    try:
        config: Any = yaml.safe_load(read_text(run / "config.yaml")) if run else None
        data, model = config["data"], config["model"]
        return {"channels": int(data.get("channels", 3)), "deterministic": bool(model.get("deterministic", False))}
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        return {}  # the autoencoder is then asked what it takes

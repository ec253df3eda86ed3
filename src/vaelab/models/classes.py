"""Finding, building and loading an autoencoder class by name, with errors that say what to change."""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from torch import nn

from vaelab.config.presets import own_weights
from vaelab.errors import ConfigError, reason
from vaelab.models.causal_video import CausalVideoVAE

# What vaelab's objective cannot train, and why.
_REFUSED = {
    "VQModel": "it is a vector-quantised model, whose codebook loss vaelab does not have",
    "ConsistencyDecoderVAE": "its decoder is a diffusion model",
    "LTX2VideoDiffusionDecoderModel": "it is a diffusion model without an encoder",
    "RFD4ProteinaAutoencoder": "it is a model of proteins",
    "AutoencoderKLAllegro": "diffusers computes it in fixed tiles of 24 frames and 320 x 320 pixels only, one clip at a time",
}
_AUDIO = ("Audio", "Oobleck", "Music", "AutoencoderSAME")


def autoencoder_names() -> list[str]:
    """Names of all classes that ``model.type`` may be: vaelab's and those of the installed diffusers."""
    import diffusers.models.autoencoders as classes

    found = [name for name in dir(classes) if hasattr(getattr(classes, name), "decode") and not _refusal(name)]
    return ["CausalVideoVAE", *found]


def find_class(name: str) -> Any:
    """The class of this name. Errors: ConfigError for an unknown one, naming near ones, and for one that is refused."""
    if name == "CausalVideoVAE":
        return CausalVideoVAE
    import diffusers
    import diffusers.models.autoencoders as classes

    if refusal := _refusal(name):
        raise ConfigError(f"model.type {name} cannot be trained here: {refusal}")
    names = autoencoder_names()
    if name not in names:
        near = get_close_matches(name, names, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known are {', '.join(names)}"
        raise ConfigError(
            f"model.type {name!r} is no autoencoder of vaelab or of diffusers {diffusers.__version__}: {hint}"
        )
    return getattr(classes, name)


def build_module(name: str, arguments: dict[str, Any], channels: int) -> nn.Module:
    """A new module of the class ``name`` with the arguments of its config.json.

    ``in_channels`` and ``out_channels`` that are not given, and whose default is 3, become ``channels``.
    Errors: ConfigError for an unknown class or argument, or values that the class refuses.
    """
    model_class = find_class(name)
    parameters = inspect.signature(model_class.__init__).parameters
    unknown = [key for key in arguments if key not in parameters and not key.startswith("_")]
    if unknown:
        near = get_close_matches(unknown[0], parameters, n=2, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(list(parameters)[1:])}"
        raise ConfigError(f"model.config: {name} has no argument {unknown[0]!r}; {hint}")
    own = {
        key: channels for key in ("in_channels", "out_channels") if key in parameters and parameters[key].default == 3
    }
    given = {key: value for key, value in arguments.items() if not key.startswith("_")}
    try:
        return model_class(**{**own, **given})
    except ConfigError:
        raise
    except Exception as error:  # each class checks, or trips over, its arguments in its own way
        raise ConfigError(
            f"model.config: {name} cannot be built with {given or 'its defaults'}: {type(error).__name__}:"
            f" {reason(error, 300)}"
        ) from error


def load_module(source: str, subfolder: str | None = None, expected: str | None = None) -> nn.Module:
    """The module that save_pretrained wrote to a folder, or that the hub has under this id; float32, all weights found.

    expected: class that it must be; None takes the one in its config.json. Errors: ConfigError for a missing or
    incomplete folder, for a hub that cannot be reached, for another class and for weights that do not fit.
    """
    source = own_weights(source)
    where = f"{source}/{subfolder}" if subfolder else source
    _check_folder(source, subfolder)
    name = _read_config(source, subfolder, where).get("_class_name", expected)
    if name is None:
        raise ConfigError(f"model.pretrained: config.json of {where} names no class (_class_name); set model.type")
    if expected is not None and name != expected:
        raise ConfigError(
            f"model.pretrained: {where} holds the class {name}, but model.type is {expected}: set model.type={name}"
        )
    model_class = find_class(name)
    try:
        module, info = model_class.from_pretrained(source, subfolder=subfolder, output_loading_info=True)
    except Exception as error:  # the loaders of diffusers, safetensors and the hub raise many types
        raise ConfigError(f"model.pretrained: the weights of {where} cannot be loaded: {reason(error, 300)}") from error
    # diffusers only warns and leaves such weights at random.
    absent = [*info["missing_keys"], *(str(key) for key in info["mismatched_keys"])]
    if absent:
        raise ConfigError(
            f"model.pretrained: {len(absent)} weights of {name} are missing in {where} or have another shape, such as"
            f" {absent[0]}: the file belongs to another configuration"
        )
    module.float()
    return module


def take_clips_whole(module: Any) -> str:
    """Switch off the cutting of long clips into pieces that are blended (AutoencoderKLHunyuanVideo's default): it saves memory
    and is not what is to be trained. Returns what then differs in plain diffusers, also kept in the module's config; else empty.
    """
    switches = [name for name in ("use_framewise_encoding", "use_framewise_decoding") if getattr(module, name, False)]
    if not switches:
        return ""
    for name in switches:
        setattr(module, name, False)
    off = "; ".join(f"vae.{name} = False" for name in switches)
    text = (
        f"vaelab computes {type(module).__name__} on whole clips; plain diffusers cuts clips of more than"
        f" {module.tile_sample_min_num_frames} frames into pieces and blends them. For equal results set there: {off}"
    )
    # a leading underscore: from_pretrained reads past it without a warning
    module.register_to_config(_vaelab=text)
    return text


def _check_folder(source: str, subfolder: str | None) -> None:
    """A path that cannot be a hub id must exist; a pipeline's folder needs its subfolder."""
    folder = Path(source)
    if not folder.exists():
        if folder.is_absolute() or source.startswith((".", "~")) or source.count("/") != 1:
            raise ConfigError(
                f"model.pretrained: {source} does not exist; give a folder written by save_pretrained or a hub id"
            )
        return
    inner = folder / subfolder if subfolder else folder
    if not (inner / "config.json").is_file():
        parts = sorted(path.parent.name for path in folder.glob("*/config.json"))
        hint = f"; it has the subfolders {', '.join(parts)}: set model.subfolder" if parts and not subfolder else ""
        raise ConfigError(f"model.pretrained: {inner} has no config.json{hint}")


def _read_config(source: str, subfolder: str | None, where: str) -> dict[str, Any]:
    try:
        return dict(CausalVideoVAE.load_config(source, subfolder=subfolder))
    except Exception as error:
        if Path(source).exists():
            raise ConfigError(
                f"model.pretrained: config.json of {where} cannot be read: {reason(error, 300)}"
            ) from error
        # diffusers reports an unreachable hub as a missing file.
        raise ConfigError(
            f"model.pretrained: {where} is not a folder here and could not be fetched from the hub, which may be out of"
            f" reach or may not have it: download it where there is a network and give the folder"
        ) from error


def _refusal(name: str) -> str | None:
    if any(word in name for word in _AUDIO):
        return "it is a model of sound"
    return _REFUSED.get(name)

"""Weights out of a file that another trainer wrote, without running any code that the file may hold."""

from __future__ import annotations

import pickletools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from vaelab.errors import CheckpointError, reason
from vaelab.files import open_regular, read_start

State = dict[str, torch.Tensor]

_RAW, _AVERAGED = ("model", "state_dict", "vae", "module"), ("ema", "model_ema", "ema_state_dict", "state_dict_ema")
# the wrapper first: DistributedDataParallel, torch.compile; then what holds the autoencoder in a trainer
_PREFIXES = ("module.", "_orig_mod.", "ema_model.", "vae.", "first_stage_model.", "autoencoder.", "model.")


def read_state(path: Path, ema: bool = False) -> State:
    """The weights of the autoencoder in a file, float32, under the names of its own module.

    Containers (``model`` of Pyramid-Flow and RadioDiff, ``state_dict`` of Lightning) and prefixes (``vae.``,
    ``first_stage_model.``) are taken away. ema: the averaged weights (``model_ema`` of Pyramid-Flow, ``ema`` of RadioDiff).
    Raises CheckpointError for a file that cannot be read, has no weights, or has no average where one is asked for.
    """
    content = _read(path)
    found = _tensors(content)
    if ema:
        found = next((_tensors(content[name]) for name in _AVERAGED if isinstance(content.get(name), Mapping)), {})
        averaged = {name: value for name, value in found.items() if name.startswith("ema_model.")}
        found = averaged or found  # RadioDiff's average carries a copy of the raw weights with it
        if not found:
            raise CheckpointError(f"{path} holds no averaged weights (EMA): leave out --ema.")
    elif not found:
        found = next((_tensors(content[name]) for name in _RAW if isinstance(content.get(name), Mapping)), {})
    state = _without_prefixes(found)
    if not any(name.startswith("encoder.") for name in state):
        shown = ", ".join(list(found or content)[:4]) or "nothing"
        raise CheckpointError(
            f"{path} holds no autoencoder: no weight begins with encoder. (it holds {shown}, ...). Give the file of the VAE."
        )
    return {name: value.float() for name, value in state.items()}


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content: Any = load_file(path) if path.suffix == ".safetensors" else _unpickle(path)
    except CheckpointError:
        raise
    except Exception as error:  # torch, pickle, zipfile and safetensors raise many types on a damaged file
        raise CheckpointError(
            f"{path} cannot be read as weights: {_instead(path) or reason(error) + _CUT_OFF}"
        ) from None
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__} and no weights by name: save model.state_dict()."
        )
    return content


_CUT_OFF = ". It may be cut off or of another kind: copy it again."
_OTHERS = {
    b"version https://git-lfs": "it is a pointer of Git LFS, not the file itself. Run git lfs pull where it came from.",
    b"<": "it is a web page, not the file: the download failed. Download it again.",
}


def _instead(path: Path) -> str:
    """What a file is that is no file of weights, if its first bytes tell."""
    start = read_start(path, 64).lstrip()
    return next((text for begin, text in _OTHERS.items() if start.startswith(begin)), "")


def _unpickle(path: Path) -> Any:
    """Tensors, and empty stand-ins for all other classes (settings, callbacks): nothing of the file is ever called."""
    is_zip = read_start(path, 2) == b"PK"
    foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path) if is_zip else _classes_before_zip(path)
    stand_ins: list[Any] = [(type(name.rpartition(".")[2], (_StandIn,), {}), name) for name in foreign]
    with torch.serialization.safe_globals(stand_ins):
        return torch.load(path, map_location="cpu", weights_only=True)


def _classes_before_zip(path: Path) -> list[str]:
    """Names of all classes in a file as torch wrote it before version 1.6: four pickles (a number, the version, the machine, the
    content), then the bytes of the tensors. torch's own classes come first when it is read, so a stand-in does not hide them."""
    with open_regular(path) as file:
        opcodes = [found for _ in range(4) for found in pickletools.genops(file)]
    return [str(name).replace(" ", ".") for opcode, name, _ in opcodes if opcode.name == "GLOBAL"]


class _StandIn:
    """In the place of a class that only the trainer has."""

    def __new__(cls, *_: object, **__: object) -> _StandIn:
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None: ...

    def __setstate__(self, _: object) -> None: ...


def _tensors(content: Mapping[Any, Any]) -> State:
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor) and value.ndim > 0}


def _without_prefixes(state: State) -> State:
    """The names as the autoencoder itself has them: prefixes are taken away from those that have them."""
    while not any(name.startswith("encoder.") for name in state):
        prefix = next((p for p in _PREFIXES if any(name.startswith(p) for name in state)), None)
        if prefix is None:
            break
        state = {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
    return {
        name: value for name, value in state.items() if name.startswith(("encoder.", "decoder.", "quant", "post_quant"))
    }

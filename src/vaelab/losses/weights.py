"""Finds and checks the weights of the perceptual loss: a named file, a package on this machine, or the usual download."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import pickle
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from vaelab.errors import ConfigError
from vaelab.files import open_regular
from vaelab.losses.backbones import LAYOUTS

# Published by torchvision; the name holds the first digits of the sha256. The heads are LPIPS v0.1 (Zhang et al. 2018).
VGG16_FILE = "vgg16-397923af.pth"
VGG16_SHA256 = "397923af"
HEADS_SHA256 = "a78928a0af1e5f0f"
HEADS_BESIDE = ("vgg.pth", "vgg_lpips.pth", "lpips_vgg.pth")
STLPIPS_VERSION = "0.0.2"
STLPIPS_SHA256 = {"alex": "b356b382f96010f7", "vgg": "44597da68f49c183"}

WAYS_OUT = (
    "either loss.perceptual_weights=FILE with the whole network (Pyramid-Flow's vgg_lpips.pth, or torchvision's"
    f" {VGG16_FILE} with LPIPS' vgg.pth beside it), or another backbone by name: loss.perceptual=stlpips-vgg or"
    f" stlpips-alex after  pip install --no-deps stlpips-pytorch=={STLPIPS_VERSION} ; loss.perceptual_weight=0 trains"
    " without"
)


class PerceptualWeightsError(ConfigError):
    """The weights of the perceptual loss are not to be had, or are not what they should be."""


class Weights(NamedTuple):
    """state: tensors named as in LPIPS' own files. name: backbone and origin. checksum: sha256, joined by + for two files."""

    state: dict[str, Tensor]
    name: str
    checksum: str


def load_weights(kind: str, file: str | None) -> Weights:
    """Weights of the backbone ``kind``, from ``file`` or, without one, from where they usually are.

    - ``vgg16``, file: one file with everything (``net.slice1.0.weight``, ``lin0.model.1.weight``: Pyramid-Flow), or
      torchvision's VGG16 (``features.0.weight``), with the heads in a file beside it or in the package lpips
    - ``vgg16``, no file: heads from the package lpips, features from torch hub's cache, else downloaded as torchvision does
      (528 MB; lpips needs torchvision, so it is there)
    - ``stlpips-vgg``, ``stlpips-alex``: inside the package stlpips-pytorch, or ``file`` in the same layout

    Raises PerceptualWeightsError with what was tried and what to do.
    """
    if kind not in LAYOUTS:
        raise ConfigError(f"loss.perceptual {kind!r} is not known: use {', '.join(LAYOUTS)}")
    if file is not None:
        return _from_file(kind, Path(file).expanduser())
    return _usual_vgg16() if kind == "vgg16" else _from_stlpips(kind)


def _from_file(kind: str, path: Path) -> Weights:
    if not path.is_file():
        raise PerceptualWeightsError(f"loss.perceptual_weights {path} is not a file; {WAYS_OUT}")
    state = _read(path)
    has_heads, has_slices = "lin0.model.1.weight" in state, "net.slice1.0.weight" in state
    if has_heads and has_slices:
        return Weights(state, f"{kind} ({path.name})", _sha256(path))
    if kind == "vgg16" and "features.0.weight" in state:
        heads, tried = _heads([path.parent / name for name in HEADS_BESIDE])
        if heads is None:
            raise PerceptualWeightsError(
                f"{path} holds the features of VGG16 but not LPIPS' five heads, and they are not elsewhere either"
                f" (tried {tried}): put LPIPS' vgg.pth (7 KB) beside it, or  pip install --no-deps lpips"
            )
        return _joined(path, state, heads)
    held = "only LPIPS' heads (7 KB), not the network" if has_heads else f"no weights of {kind} that vaelab knows"
    raise PerceptualWeightsError(f"loss.perceptual_weights {path} holds {held}; {WAYS_OUT}")


def _usual_vgg16() -> Weights:
    # the heads first: without them 528 MB would be downloaded for nothing
    heads, tried = _heads([])
    if heads is None:
        raise PerceptualWeightsError(f"LPIPS' heads for vgg16 were not found (tried {tried}); {WAYS_OUT}")
    path = Path(torch.hub.get_dir()) / "checkpoints" / VGG16_FILE
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            address = importlib.import_module("torchvision.models").VGG16_Weights.IMAGENET1K_V1.url
            torch.hub.download_url_to_file(address, str(path), hash_prefix=VGG16_SHA256)
        except ImportError as error:
            raise PerceptualWeightsError(
                f"the weights of vgg16 are not in {path}, and torchvision, which knows their address, is not installed;"
                f" {WAYS_OUT}"
            ) from error
        except (OSError, RuntimeError) as error:  # no network, or another file than the expected one
            raise PerceptualWeightsError(
                f"the weights of vgg16 were not found (tried {path}, then the download {address}: {error}); {WAYS_OUT}"
            ) from error
    _verify(path, VGG16_SHA256, "delete it, so that it is downloaded again")
    return _joined(path, _read(path), heads)


def _heads(beside: list[Path]) -> tuple[Path | None, str]:
    """The file of LPIPS' five heads, if there is one, and the places that were tried."""
    for path in beside:
        if path.is_file() and "lin0.model.1.weight" in _read(path):
            return path, ""
    tried = [str(path) for path in beside]
    folder = _package("lpips")
    if folder is None:
        return None, ", ".join([*tried, "the package lpips, which is not installed"])
    path = folder / "weights" / "v0.1" / "vgg.pth"
    if not path.is_file():
        return None, ", ".join([*tried, str(path)])
    _verify(path, HEADS_SHA256, "install the package lpips again")
    return path, ""


def _joined(features: Path, state: dict[str, Tensor], heads: Path) -> Weights:
    """torchvision numbers the layers as LPIPS does, without the slices."""
    number_to_slice: dict[int, int] = {}
    for i, layers in enumerate(LAYOUTS["vgg16"].slices):
        start = len(number_to_slice)
        number_to_slice.update(dict.fromkeys(range(start, start + len(layers)), i + 1))
    joined = dict(_read(heads))
    for key, value in state.items():
        part, number, *rest = key.split(".")
        # torchvision's list ends with one more pooling, and then the classifier
        if part == "features" and int(number) in number_to_slice:
            joined[f"net.slice{number_to_slice[int(number)]}.{number}.{'.'.join(rest)}"] = value
    return Weights(joined, f"vgg16 ({features.name}, heads {heads.name})", f"{_sha256(features)}+{_sha256(heads)}")


def _from_stlpips(kind: str) -> Weights:
    variant = kind.removeprefix("stlpips-")
    install = f"pip install --no-deps stlpips-pytorch=={STLPIPS_VERSION}"
    folder = _package("stlpips_pytorch")
    if folder is None:
        raise PerceptualWeightsError(
            f"loss.perceptual={kind} needs the package stlpips-pytorch, which is not installed:  {install} ; or"
            " loss.perceptual_weight=0 trains without"
        )
    path = folder / "weights" / "vST0.0" / f"{variant}_shift_tolerant.pth"
    if not path.is_file():
        raise PerceptualWeightsError(f"the package stlpips-pytorch has no file {path}:  {install}")
    checksum = _verify(path, STLPIPS_SHA256[variant], install)
    version = importlib.metadata.version("stlpips-pytorch")
    return Weights(_read(path), f"{kind} (stlpips-pytorch {version})", checksum)


def _package(name: str) -> Path | None:
    """The folder of an installed package, without importing it."""
    spec = importlib.util.find_spec(name)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; nothing in it is executed (weights_only)."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise PerceptualWeightsError(
            f"{path} cannot be read as a file of tensors: {str(error).splitlines()[0] if str(error) else 'it is empty'}"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict):
        raise PerceptualWeightsError(f"{path} holds a {type(state).__name__}, not named tensors")
    return {key: value for key, value in state.items() if isinstance(key, str) and isinstance(value, Tensor)}


def _verify(path: Path, prefix: str, remedy: str) -> str:
    """The file's sha256; raises PerceptualWeightsError when it does not begin with ``prefix``."""
    checksum = _sha256(path)
    if not checksum.startswith(prefix):
        raise PerceptualWeightsError(
            f"{path} is not the published file: its sha256 begins with {checksum[: len(prefix)]}, not {prefix}; {remedy}"
        )
    return checksum


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()

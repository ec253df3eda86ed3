"""Sources that make their samples, or that come with vaelab: each is a module with the function ``open_source``."""

from __future__ import annotations

from importlib import import_module

from vaelab.config.schema import DataConfig
from vaelab.data.source import Source

GENERATED = {
    "moving-shapes": "vaelab.data.moving_shapes",
    "path-loss": "vaelab.data.path_loss",
    "ray-traced": "vaelab.data.ray_traced",
    "example-clips": "vaelab.data.example_clips",
}


def open_generated(config: DataConfig, seed: int, held_out: bool) -> Source:
    """The source named by the settings. Its module is imported only now, since it may need optional packages."""
    source: Source = import_module(GENERATED[config.source]).open_source(config, seed, held_out)
    return source

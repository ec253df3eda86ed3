"""Settings of training runs: the schema, the presets, and the import of other trainers' settings. Needs no torch."""

from vaelab.config.load import dump_config, load_config
from vaelab.config.options import options_table
from vaelab.config.presets import preset, presets
from vaelab.config.schema import DataConfig, LossConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig

__all__ = [
    "DataConfig",
    "LossConfig",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "TrainConfig",
    "dump_config",
    "load_config",
    "options_table",
    "preset",
    "presets",
]

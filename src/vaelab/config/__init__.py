"""Settings of training runs: the schema, the presets, and the import of other trainers' settings. Needs no torch."""

from vaelab.config.schema import DataConfig, LossConfig, ModelConfig, OptimConfig, RunConfig, TrainConfig

__all__ = ["DataConfig", "LossConfig", "ModelConfig", "OptimConfig", "RunConfig", "TrainConfig"]

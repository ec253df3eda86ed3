"""generative-models' YAML, started by Lightning."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.ldm.settings import NETWORK, LightningFile, PublicCode, target_of
from vaelab.dialects.plan import Loss, Plan

ID, TITLE = "sgm", "generative-models (AutoencodingEngine)"
# scheduler_config is of the fork lavinal712/AutoencoderKL, whose fault AKL-1 is known
PUBLIC = PublicCode(
    ("sgm.",),
    frozenset(
        [
            "AutoencodingEngine",
            "AutoencodingEngineLegacy",
            "AutoencoderKL",
            "AutoencoderLegacyVQ",
            "AutoencoderKLModeOnly",
            "GeneralLPIPSWithDiscriminator",
            "LatentLPIPS",
        ]
    ),
    frozenset(
        [
            "encoder_config",
            "decoder_config",
            "loss_config",
            "regularizer_config",
            "optimizer_config",
            "lr_g_factor",
            "trainable_ae_params",
            "ae_optimizer_args",
            "trainable_disc_params",
            "disc_optimizer_args",
            "disc_start_iter",
            "diff_boost_factor",
            "ckpt_engine",
            "ckpt_path",
            "additional_decode_keys",
            "ema_decay",
            "monitor",
            "input_key",
            "embed_dim",
            "max_batch_size",
            "ddconfig",
            "lossconfig",
            "n_embed",
            "sane_index_shape",
            "scheduler_config",
        ]
    ),
    NETWORK,
    frozenset(
        [
            "disc_start",
            "logvar_init",
            "disc_num_layers",
            "disc_in_channels",
            "disc_factor",
            "disc_weight",
            "perceptual_weight",
            "disc_loss",
            "scale_input_to_tgt_size",
            "dims",
            "learn_logvar",
            "regularization_weights",
            "additional_log_keys",
            "discriminator_config",
        ]
    ),
)


def certainty(text: str, parsed: Any) -> float:
    """An autoencoder of the package sgm."""
    target = target_of(parsed) or ""
    return 0.9 if target.startswith("sgm.") and "autoencoder" in target else 0.0


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file. Its base rate is scaled only with the switch --scale_lr of its main.py."""
    file = LightningFile.of(text, parsed)
    gan = file.gan(0, 2.0, "batches, of which every second one trains the discriminator")
    kl = file.options.number(f"{file.loss}regularization_weights.kl_loss")
    return [
        Plan(
            ID,
            TITLE,
            file.options,
            file.keys(),
            file.schedule(gan),
            gan,
            Loss("sum", 1.0, file.perceptual_weight, kl, "sum", file.learns_logvar),
            file.image(),
            file.optim(copied_base=True, manual=True),
        ).as_fork(file.signs(PUBLIC))
    ]


SETTINGS = (
    SettingsSource(
        ID,
        TITLE,
        "Stability-AI/generative-models at 0ad7de9",
        certainty,
        plans,
        not_imported="vaelab cannot import those of generative-models: start from the preset image-kl-f8",
    ),
)

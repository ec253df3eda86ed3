"""Launch scripts of diffusers' two examples."""

from __future__ import annotations

from functools import partial

from vaelab.config.foreign.launch import Program, gpus_of
from vaelab.config.foreign.shell import Command
from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.options import Options
from vaelab.dialects.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule

TITLES = {"diffusers": "diffusers (train_autoencoderkl.py)", "diffusers_vq": "diffusers (train_vqgan.py)"}
# options of both programs: those in which diffusers' examples differ from other scripts, and the rest
OWN = frozenset(
    [
        "pretrained_model_name_or_path",
        "model_config_name_or_path",
        "dataset_name",
        "train_data_dir",
        "train_batch_size",
        "num_train_epochs",
        "max_train_steps",
        "checkpointing_steps",
        "checkpoints_total_limit",
        "gradient_accumulation_steps",
        "mixed_precision",
        "report_to",
    ]
)
OTHERS = frozenset(
    [
        "revision",
        "output_dir",
        "cache_dir",
        "seed",
        "resolution",
        "resume_from_checkpoint",
        "gradient_checkpointing",
        "learning_rate",
        "scale_lr",
        "lr_scheduler",
        "lr_warmup_steps",
        "use_8bit_adam",
        "use_ema",
        "dataloader_num_workers",
        "adam_beta1",
        "adam_beta2",
        "adam_weight_decay",
        "adam_epsilon",
        "max_grad_norm",
        "push_to_hub",
        "hub_token",
        "hub_model_id",
        "logging_dir",
        "allow_tf32",
        "enable_xformers_memory_efficient_attention",
        "dataset_config_name",
        "image_column",
        "max_train_samples",
        "validation_steps",
        "tracker_project_name",
    ]
)
OF_AUTOENCODER = frozenset(
    [
        "disc_learning_rate",
        "disc_lr_scheduler",
        "lr_num_cycles",
        "lr_power",
        "set_grads_to_none",
        "validation_image",
        "rec_loss",
        "kl_scale",
        "perceptual_scale",
        "disc_start",
        "disc_factor",
        "disc_scale",
        "disc_loss",
        "decoder_only",
    ]
)
OF_VQGAN = frozenset(
    [
        "log_grad_norm_steps",
        "log_steps",
        "vae_loss",
        "timm_model_offset",
        "timm_model_layers",
        "timm_model_backend",
        "discriminator_config_name_or_path",
        "validation_images",
        "center_crop",
        "random_flip",
        "discr_learning_rate",
        "discr_lr_scheduler",
        "non_ema_revision",
        "prediction_type",
        "local_rank",
    ]
)


def _diffusers(name: str, o: Options, command: Command, text: str) -> Plan:
    size, steps = o.whole("resolution", 512), o.whole("max_train_steps")
    keys = {k: k for k in ("disc_start",)} | {
        "lr": "learning_rate",
        "kl_weight": "kl_scale",
        "updates": "max_train_steps",
        "size": "resolution",
        "accumulate": "gradient_accumulation_steps",
        "clip": "max_grad_norm",
        "perceptual_weight": "perceptual_scale",
        "precision": "mixed_precision",
        "checkpoint_every": "checkpointing_steps",
    }
    lr, accumulate = o.number("learning_rate", 4.5e-6), o.whole("gradient_accumulation_steps", 1)
    ignored = []
    if name == "diffusers_vq" and o.flag("scale_lr"):
        ignored.append(Ignored("scale_lr", "the scaled rate is computed and then not used"))
    return Plan(
        name,
        TITLES[name],
        o,
        keys,
        Schedule(
            None if steps is None else steps // 2,
            f"half of {steps} steps: the networks take turns",
            checkpoint_every=o.whole("checkpointing_steps", 500),
        ),
        Gan(
            built=True,
            asked=True,
            start=o.number("disc_start", 50_001) if name == "diffusers" else 0,
            counts=2.0,
            counter="updates of either network: they take turns, so each has half of them",
        ),
        Loss("sum", 1.0, o.number("perceptual_scale", 0.5), o.number("kl_scale", 1e-6), "sum")
        if name == "diffusers"
        else Loss("mean", 1.0, 1.0),
        Sample(3, 1, size, size, None, None, 1, None, "the autoencoder"),
        Optim(
            rate=lr,
            base=lr,
            scaled=o.flag("scale_lr") and name == "diffusers",
            copied_base=name == "diffusers" and not o.flag("scale_lr"),
            batch=o.whole("train_batch_size", 4),
            gpus=gpus_of(command, text),
            accumulate=accumulate,
            clip=o.number("max_grad_norm", 1.0),
            ema_decay=0.9999 if o.flag("use_ema") else None,
            precision={"no": "fp32"}.get(str(o.get("mixed_precision", "no")), str(o.get("mixed_precision", "fp32"))),
            loss_in_precision=True,
        ),
        tuple(ignored),
    )


def _source(name: str, program: Program) -> SettingsSource:
    plans = program.plans(partial(_diffusers, name))
    return SettingsSource(name, TITLES[name], "huggingface/diffusers at 58eb52c080", program.certainty, plans)


SETTINGS = (
    _source("diffusers", Program("train_autoencoderkl.py", OWN | OF_AUTOENCODER, OTHERS)),
    _source("diffusers_vq", Program("train_vqgan.py", OWN | OF_VQGAN, OTHERS)),
)

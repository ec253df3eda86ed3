"""Launch scripts of WF-VAE and of Open-Sora-Plan."""

from __future__ import annotations

from functools import partial

from vaelab.config.foreign.launch import Program, gpus_of
from vaelab.config.foreign.shell import Command
from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.options import Options
from vaelab.dialects.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule

TITLES = {"wf_vae": "WF-VAE (train_ddp.py)", "open_sora_plan": "Open-Sora-Plan (train_causalvae.py)"}
# options of the programs: those that few others have, and the rest
OWN = frozenset(
    [
        "video_path",
        "num_frames",
        "sample_rate",
        "dynamic_sample",
        "disc_cls",
        "disc_start",
        "kl_weight",
        "perceptual_weight",
        "wavelet_loss",
        "wavelet_weight",
        "mix_precision",
        "save_ckpt_step",
        "not_resume_training_process",
        "load_disc_from_checkpoint",
        "eval_video_path",
        "eval_num_frames",
        "eval_lpips",
    ]
)
OTHERS = frozenset(
    [
        "exp_name",
        "seed",
        "epochs",
        "max_steps",
        "ckpt_dir",
        "batch_size",
        "lr",
        "weight_decay",
        "log_steps",
        "freeze_encoder",
        "clip_grad_norm",
        "resolution",
        "ignore_mismatched_sizes",
        "find_unused_parameters",
        "pretrained_model_name_or_path",
        "model_name",
        "resume_from_checkpoint",
        "enable_tiling",
        "model_config",
        "not_resume_discriminator",
        "not_resume_optimizer",
        "disc_weight",
        "disc_factor",
        "loss_type",
        "logvar_init",
        "learn_logvar",
        "eval_steps",
        "eval_resolution",
        "eval_sample_rate",
        "eval_batch_size",
        "eval_subset_size",
        "eval_num_video_log",
        "dataset_num_worker",
        "ema",
        "ema_decay",
    ]
)


def _wf(name: str, o: Options, command: Command, text: str) -> Plan:
    size, frames = o.whole("resolution", 256), o.whole("num_frames", 17)
    keys = {k: k for k in ("disc_start", "lr", "kl_weight", "ema_decay", "perceptual_weight")}
    keys |= {"frames": "num_frames", "size": "resolution", "clip": "clip_grad_norm", "precision": "mix_precision"}
    ignored = [
        Ignored("max_steps", "it only sizes the progress bar: training ends after --epochs"),
        Ignored("load_disc_from_checkpoint", "nothing reads it"),
        Ignored("not_resume_training_process", "nothing reads it"),
    ]
    if name == "wf_vae":
        ignored.append(Ignored("clip_grad_norm", "nothing reads it: no gradient is clipped"))
    return Plan(
        name,
        TITLES[name],
        o,
        keys,
        Schedule(),
        Gan(
            built=True,
            asked=True,
            start=o.number("disc_start", 5),
            counts=1.0,
            counter="batches; from disc_start on every second batch trains the discriminator only",
            warmed_up=False,
        ),
        Loss("sum_per_frame", 1.0, o.number("perceptual_weight", 1.0), o.number("kl_weight", 1e-6), "sum"),
        Sample(3, frames, size, size, None, (4, 1), 4, 8, "WF-VAE"),
        Optim(
            rate=o.number("lr", 1e-5),
            base=o.number("lr", 1e-5),
            batch=o.whole("batch_size", 1),
            gpus=gpus_of(command, text),
            ema_decay=o.number("ema_decay", 0.999) if o.flag("ema") else None,
            precision=str(o.get("mix_precision", "bf16")),
            loss_in_precision=True,
        ),
        tuple(i for i in ignored if i.key in o)
        + (() if o.flag("ema") or "ema_decay" not in o else (Ignored("ema_decay", "read only with --ema"),)),
    )


def _source(name: str, program: str, source: str) -> SettingsSource:
    start = Program(program, OWN, OTHERS)
    return SettingsSource(name, TITLES[name], source, start.certainty, start.plans(partial(_wf, name)))


SETTINGS = (
    _source("wf_vae", "train_ddp.py", "PKU-YuanGroup/WF-VAE at d858bee"),
    _source("open_sora_plan", "train_causalvae.py", "PKU-YuanGroup/Open-Sora-Plan at f7fa604f"),
)

"""Trainers that are started with options on a command line: WF-VAE, Open-Sora-Plan, diffusers' two scripts, vqgan-training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vaelab.config.foreign.shell import Command, commands
from vaelab.lint.options import Options
from vaelab.lint.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule
from vaelab.lint.trainers.shared import command_options, gpus_of

PROGRAMS = {
    "train_ddp.py": "wf_vae",
    "train_causalvae.py": "open_sora_plan",
    "train_autoencoderkl.py": "diffusers",
    "train_vqgan.py": "diffusers_vq",
    "vae_trainer.py": "vqgan_training",
}
TITLES = {
    "wf_vae": "WF-VAE (train_ddp.py)",
    "open_sora_plan": "Open-Sora-Plan (train_causalvae.py)",
    "diffusers": "diffusers (train_autoencoderkl.py)",
    "diffusers_vq": "diffusers (train_vqgan.py)",
    "vqgan_training": "vqgan-training (vae_trainer.py)",
}


def matches(text: str, parsed: Any) -> bool:
    """A script that starts one of the programs."""
    return parsed is None and any(commands(text, program) for program in PROGRAMS if program in text)


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """One plan for each start of one of the programs."""
    found = []
    for program, name in PROGRAMS.items():
        if program in text:
            for command, options in command_options(text, commands(text, program)):
                found.append(_READERS[name](name, options, command, text))
    return found


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


def _vqgan_training(name: str, o: Options, command: Command, text: str) -> Plan:
    ignored = [
        Ignored(k, "it is overwritten by a path in the code") for k in ("dataset_url", "test_dataset_url") if k in o
    ]
    return Plan(
        name,
        TITLES[name],
        o,
        {"updates": "max_steps", "lr": "learning_rate_vae"},
        Schedule(o.whole("max_steps", 1000), "--max_steps"),
        Gan(built=o.flag("do_ganloss"), asked=o.flag("do_ganloss"), start=0),
        Loss("mean", 0.0, 1.0),
        Sample(),
        Optim(gpus=gpus_of(command, text), precision="bf16"),
        tuple(ignored),
    )


_READERS: dict[str, Callable[[str, Options, Command, str], Plan]] = {
    "wf_vae": _wf,
    "open_sora_plan": _wf,
    "diffusers": _diffusers,
    "diffusers_vq": _diffusers,
    "vqgan_training": _vqgan_training,
}

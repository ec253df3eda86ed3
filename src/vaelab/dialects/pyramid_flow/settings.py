"""Pyramid-Flow's ``train_video_vae.py``: every training of a launch script."""

from __future__ import annotations

import shlex
from typing import Any

from vaelab.config.foreign.launch import command_options, gpus_of
from vaelab.config.foreign.shell import Command, commands
from vaelab.config.foreign.source import SettingsSource, importer_notes
from vaelab.dialects.options import Options
from vaelab.dialects.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule
from vaelab.dialects.pyramid_flow import importing
from vaelab.words import number

ID = "pyramid_flow"
NO_WARMUP_TO_ADD = (
    "--warmup_steps with --warmup_epochs 0 fails an assertion at the start: the schedule has no warm-up to add"
)

KEYS = {
    "disc_start": "disc_start",
    "gan": "add_discriminator",
    "updates": "epochs",
    "warmup": "warmup_epochs",
    "lr": "lr",
    "kl_weight": "kl_weight",
    "clip": "clip_grad",
    "frames": "max_frames",
    "size": "resolution",
    "perceptual_weight": "perceptual_weight",
    "precision": "model_dtype",
}


def certainty(text: str, parsed: Any) -> float:
    """A text that starts the program, or a bare list of its options."""
    bare = text.lstrip().startswith("--") and any(f"--{name}" in text for name in ("kl_weight", "lpips_ckpt"))
    return float(parsed is None and (importing.PROGRAM in text or bare))


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """One plan for each start of the program."""
    return [
        _plan(command, options, text) for command, options in command_options(text, commands(text, importing.PROGRAM))
    ]


def _plan(command: Command, o: Options, text: str) -> Plan:
    epochs, each = o.whole("epochs", 100), o.whole("iters_per_epoch", 2000)
    updates = epochs * each if epochs is not None and each is not None else None
    warm_steps, warm_epochs = o.whole("warmup_steps", -1), o.whole("warmup_epochs", 5)
    warmup = warm_steps if warm_steps and warm_steps > 0 else (warm_epochs or 0) * (each or 0)
    size = o.whole("resolution", 256)
    clip = o.number("clip_grad")
    lr = o.number("lr", 5e-5)
    notes = importer_notes(importing.convert, _alone(command), None, o, ("opt_betas",))
    return Plan(
        ID,
        importing.TITLE,
        o,
        KEYS,
        Schedule(
            updates,
            f"{number(epochs or 0)} epochs of {number(each or 0)} iterations",
            warmup,
            must_fit=True,
            contradiction=NO_WARMUP_TO_ADD if warm_epochs == 0 and (warm_steps or 0) > 0 else "",
            mended=("--warmup_epochs 1",),
        ),
        Gan(
            built=o.flag("add_discriminator"),
            asked="disc_start" in o or "disc_weight" in o or "lr_disc" in o,
            start=o.number("disc_start", 0),
            counter="iterations since this start of the script",
            fails_unbuilt=True,
        ),
        Loss(
            "mean",
            o.number("pixelloss_weight", 1.0),
            o.number("perceptual_weight", 1.0),
            o.number("kl_weight", 1e-6),
            "channel_mean",
        ),
        Sample(3, o.whole("max_frames", 24), size, size, 16, (8, 1), 8, 8, "Pyramid-Flow's causal VAE"),
        Optim(
            rate=lr,
            base=lr,
            batch=o.whole("batch_size", 64),
            gpus=gpus_of(command, text),
            clip=clip,
            precision={"bf16": "bf16", "fp16": "fp16"}.get(str(o.get("model_dtype", "bf16")), "fp32"),
        ),
        (*_betas(o), *notes.ignored),
        notes.unknown,
    ).as_fork(notes.fork)


def _betas(o: Options) -> tuple[Ignored, ...]:
    if "opt_betas" not in o:
        return ()
    why = "it is parsed as opt_betas and read as opt_beta1 and opt_beta2: AdamW runs with (0.9, 0.999)"
    return (Ignored("opt_betas", why),)


def _alone(command: Command) -> str:
    """The command as one line, for the importer, which reads the first of a script."""
    words = ["torchrun", f"--nproc_per_node={command.launcher.get('nproc_per_node', 1)}", importing.PROGRAM]
    for key, value in command.options.items():
        words.append(f"--{key}")
        if value is not True:
            words += [shlex.quote(str(v)) for v in (value if isinstance(value, list) else [value])]
    return " ".join(words)


SETTINGS = (SettingsSource(ID, importing.TITLE, "jy0205/Pyramid-Flow at 3040d71", certainty, plans, importing.convert),)

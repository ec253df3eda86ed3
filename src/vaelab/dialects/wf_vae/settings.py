"""Launch scripts of WF-VAE and of Open-Sora-Plan."""

from __future__ import annotations

from functools import partial

from vaelab.config.foreign.launch import gpus_of, plans_of, starts
from vaelab.config.foreign.shell import Command
from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.options import Options
from vaelab.dialects.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule

TITLES = {"wf_vae": "WF-VAE (train_ddp.py)", "open_sora_plan": "Open-Sora-Plan (train_causalvae.py)"}


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


SETTINGS = tuple(
    SettingsSource(name, TITLES[name], source, starts(program), plans_of(program, partial(_wf, name)))
    for name, program, source in (
        ("wf_vae", "train_ddp.py", "PKU-YuanGroup/WF-VAE at d858bee"),
        ("open_sora_plan", "train_causalvae.py", "PKU-YuanGroup/Open-Sora-Plan at f7fa604f"),
    )
)

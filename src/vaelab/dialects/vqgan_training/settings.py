"""Launch scripts of vqgan-training."""

from __future__ import annotations

from vaelab.config.foreign.launch import Program, gpus_of
from vaelab.config.foreign.shell import Command
from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.options import Options
from vaelab.dialects.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule

ID, TITLE = "vqgan_training", "vqgan-training (vae_trainer.py)"
PROGRAM = Program(
    "vae_trainer.py",
    frozenset(
        [
            "do_ganloss",
            "use_lecam",
            "learning_rate_vae",
            "learning_rate_disc",
            "vae_resolution",
            "vae_in_channels",
            "vae_ch",
            "vae_ch_mult",
            "vae_num_res_blocks",
            "vae_z_channels",
            "do_clamp",
            "evaluate_every_n_steps",
        ]
    ),
    frozenset(("dataset_url", "test_dataset_url", "num_epochs", "batch_size", "run_name", "max_steps", "load_path")),
)


def _plan(o: Options, command: Command, text: str) -> Plan:
    ignored = [
        Ignored(k, "it is overwritten by a path in the code") for k in ("dataset_url", "test_dataset_url") if k in o
    ]
    return Plan(
        ID,
        TITLE,
        o,
        {"updates": "max_steps", "lr": "learning_rate_vae"},
        Schedule(o.whole("max_steps", 1000), "--max_steps"),
        Gan(built=o.flag("do_ganloss"), asked=o.flag("do_ganloss"), start=0),
        Loss("mean", 0.0, 1.0),
        Sample(),
        Optim(gpus=gpus_of(command, text), precision="bf16"),
        tuple(ignored),
    )


SETTINGS = (
    SettingsSource(ID, TITLE, "cloneofsimo/vqgan-training at 379fe36", PROGRAM.certainty, PROGRAM.plans(_plan)),
)

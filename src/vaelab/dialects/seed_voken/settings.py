"""SEED-Voken's YAML (Open-MAGVIT2, IBQ), read by LightningCLI."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.draft import flat
from vaelab.config.foreign.launch import devices_of
from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.options import Options, yaml_lines
from vaelab.dialects.plan import Gan, Loss, Optim, Plan, Sample

ID, TITLE = "seed_voken", "SEED-Voken (Open-MAGVIT2, IBQ)"
MODEL, LOSS = "model.init_args.", "model.init_args.lossconfig.params."


def certainty(text: str, parsed: Any) -> float:
    """LightningCLI's YAML of one of SEED-Voken's models."""
    model = parsed.get("model") if isinstance(parsed, dict) else None
    return float(isinstance(model, dict) and any(w in str(model.get("class_path")) for w in ("Open_MAGVIT2", "IBQ")))


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    o = Options(flat(parsed), yaml_lines(text))
    precision = str(o.get("trainer.precision", "32"))
    return [
        Plan(
            ID,
            TITLE,
            o,
            {"disc_start": f"{LOSS}disc_start", "lr": f"{MODEL}learning_rate", "updates": "trainer.max_epochs"},
            gan=Gan(
                built=True,
                asked=True,
                start=o.number(f"{LOSS}disc_start", 0),
                counts=2.0,
                counter="Lightning's global_step, two a batch, one for each optimizer",
            ),
            loss=Loss("mean", 1.0, o.number(f"{LOSS}perceptual_weight", 1.0)),
            sample=Sample(model="the tokenizer"),
            optim=Optim(
                rate=o.number(f"{MODEL}learning_rate"),
                base=o.number(f"{MODEL}learning_rate"),
                gpus=devices_of(o.get("trainer.devices")),
                accumulate=o.whole("trainer.accumulate_grad_batches", 1),
                manual=True,
                clip=o.number("trainer.gradient_clip_val"),
                ema_decay=0.9999 if o.flag(f"{MODEL}use_ema") else None,
                precision="bf16" if "bf16" in precision else "fp16" if "16" in precision else "fp32",
            ),
        )
    ]


SETTINGS = (SettingsSource(ID, TITLE, "TencentARC/SEED-Voken at b9a17ea", certainty, plans),)

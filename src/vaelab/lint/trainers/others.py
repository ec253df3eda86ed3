"""SEED-Voken's YAML (Open-MAGVIT2, IBQ), and scripts that call magvit2-pytorch's trainer."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.draft import flat
from vaelab.lint.options import Options, call_options, yaml_lines
from vaelab.lint.plan import Gan, Loss, Optim, Plan, Sample
from vaelab.lint.trainers.shared import devices_of

TITLES = {"seed_voken": "SEED-Voken (Open-MAGVIT2, IBQ)", "magvit2": "magvit2-pytorch (VideoTokenizerTrainer)"}
MODEL, LOSS = "model.init_args.", "model.init_args.lossconfig.params."


def matches(text: str, parsed: Any) -> bool:
    """LightningCLI's YAML of one of SEED-Voken's models, or Python that builds magvit2-pytorch's trainer."""
    if isinstance(parsed, dict):
        model = parsed.get("model")
        return isinstance(model, dict) and any(w in str(model.get("class_path")) for w in ("Open_MAGVIT2", "IBQ"))
    return parsed is None and "magvit2_pytorch" in text and "VideoTokenizerTrainer" in text


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    if isinstance(parsed, dict):
        return [_seed_voken(Options(flat(parsed), yaml_lines(text)))]
    options = call_options(text, "VideoTokenizerTrainer")
    return [] if options is None else [_magvit2(options)]


def _seed_voken(o: Options) -> Plan:
    precision = str(o.get("trainer.precision", "32"))
    return Plan(
        "seed_voken",
        TITLES["seed_voken"],
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


def _magvit2(o: Options) -> Plan:
    return Plan(
        "magvit2",
        TITLES["magvit2"],
        o,
        {"lr": "learning_rate", "updates": "num_train_steps"},
        gan=Gan(built=True, asked=True, start=0),
        loss=Loss("mean", 1.0, 0.1),
        optim=Optim(
            rate=o.number("learning_rate"),
            gpus=None,
            accumulate=o.whole("grad_accum_every", 1),
            clip=o.number("max_grad_norm"),
        ),
    )

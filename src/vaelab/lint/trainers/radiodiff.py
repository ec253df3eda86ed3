"""RadioDiff's ``first_radio.yaml``."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign import radiodiff as importer
from vaelab.config.foreign.draft import flat
from vaelab.lint.options import Options, yaml_lines
from vaelab.lint.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule
from vaelab.lint.trainers.shared import importer_notes

ID = "radiodiff"
TITLE = importer.TITLE
LOSS, NETWORK = "model.lossconfig.", "model.ddconfig."
MAP = 256  # pixels, fixed in the loader

KEYS = {
    "disc_start": f"{LOSS}disc_start",
    "updates": "trainer.train_num_steps",
    "lr": "trainer.lr",
    "kl_weight": f"{LOSS}kl_weight",
    "size": f"{NETWORK}resolution",
    "accumulate": "trainer.gradient_accumulate_every",
    "checkpoint_every": "trainer.save_and_sample_every",
    "perceptual_weight": f"{LOSS}perceptual_weight",
    "precision": "trainer.fp16",
}

matches = importer.matches


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    o = Options(flat(parsed), yaml_lines(text))
    lr = o.number("trainer.lr", 1e-4)
    ignored, unknown = importer_notes(importer.convert, text, parsed, o, (f"{NETWORK}resolution",))
    # options of the data are not read, but do not change what a person expects of the training either
    ignored = tuple(Ignored(i.key, i.why, matters=not i.key.startswith("data.")) for i in ignored)
    multipliers = o.get(f"{NETWORK}ch_mult")
    return [
        Plan(
            ID,
            TITLE,
            o,
            KEYS,
            Schedule(
                o.whole("trainer.train_num_steps", 100_000),
                "trainer.train_num_steps",
                checkpoint_every=o.whole("trainer.save_and_sample_every", 1000),
            ),
            Gan(
                built=True,
                asked=True,
                start=o.number(f"{LOSS}disc_start", 50_001),
                counter="steps",
            ),
            Loss(
                "sum",
                1.0,
                o.number(f"{LOSS}perceptual_weight", 1.0),
                o.number(f"{LOSS}kl_weight", 1.0),
                "sum",
            ),
            Sample(
                o.whole(f"{NETWORK}in_channels", 1),
                1,
                MAP,
                MAP,
                o.whole("model.embed_dim"),
                None,
                1,
                2 ** (len(multipliers) - 1) if isinstance(multipliers, list) else None,
                "RadioDiff's autoencoder",
            ),
            Optim(
                rate=lr,
                base=lr,
                copied_base=True,
                batch=o.whole("data.batch_size"),
                gpus=None,
                ema_decay=0.995,
                ema_every=10,
                precision="fp16" if o.flag("trainer.fp16") else "fp32",
                loss_in_precision=True,
            ),
            ignored,
            unknown,
        )
    ]

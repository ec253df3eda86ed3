"""RadioDiff's ``first_radio.yaml``."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.draft import flat
from vaelab.config.foreign.source import SettingsSource, importer_notes
from vaelab.dialects.options import Options, yaml_lines
from vaelab.dialects.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule
from vaelab.dialects.radiodiff import importing

ID = "radiodiff"
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


def certainty(text: str, parsed: Any) -> float:
    """A mapping with model.ddconfig or model.lossconfig directly below model, and a trainer section."""
    if not isinstance(parsed, dict) or not isinstance(parsed.get("model"), dict) or "trainer" not in parsed:
        return 0.0
    return float("params" not in parsed["model"] and bool({"ddconfig", "lossconfig"} & set(parsed["model"])))


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    o = Options(flat(parsed), yaml_lines(text))
    lr = o.number("trainer.lr", 1e-4)
    notes = importer_notes(importing.convert, text, parsed, o, (f"{NETWORK}resolution",))
    # only the data set radio has a size and a folder of its own; these change nothing that a person expects of the training
    radio = o.get("data.name", "radio") == "radio"
    ignored = tuple(Ignored(i.key, i.why, matters=False) if i.key.startswith("data.") else i for i in notes.ignored)
    ignored = tuple(i for i in ignored if radio or not i.key.startswith("data."))
    size = o.get(f"{NETWORK}resolution")
    height, width = (MAP, MAP) if radio else size if isinstance(size, list) and len(size) == 2 else (None, None)
    multipliers = o.get(f"{NETWORK}ch_mult")
    return [
        Plan(
            ID,
            importing.TITLE,
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
                height,
                width,
                o.whole("model.embed_dim"),
                None,
                1,
                2 ** (len(multipliers) - 1) if isinstance(multipliers, list) else None,
                "RadioDiff's autoencoder",
                f"{NETWORK}resolution",
            ),
            Optim(
                rate=lr,
                base=lr,
                copied_base=True,
                batch=o.whole("data.batch_size"),
                gpus=None,
                networks=2,
                ema_decay=0.995,
                ema_every=10,
                precision="fp16" if o.flag("trainer.fp16") else "fp32",
                loss_in_precision=True,
            ),
            ignored,
            notes.unknown,
        ).as_fork(notes.fork)
    ]


SETTINGS = (SettingsSource(ID, importing.TITLE, "UNIC-Lab/RadioDiff at 14c4a8c", certainty, plans, importing.convert),)

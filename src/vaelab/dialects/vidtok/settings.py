"""VidTok's YAML, started by Lightning."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vaelab.config.foreign.source import SettingsSource
from vaelab.dialects.ldm.settings import LightningFile
from vaelab.dialects.plan import Loss, Plan, Sample
from vaelab.dialects.vidtok import importing

ID = "vidtok"
VIDEO = "data.params.train.params.video_params."


def certainty(text: str, parsed: Any) -> float:
    """A mapping whose model is of the package vidtok."""
    model = parsed.get("model") if isinstance(parsed, dict) else None
    return 0.95 if isinstance(model, dict) and "vidtok." in str(model.get("target")) else 0.0


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    file = LightningFile.of(text, parsed)
    o = file.options
    gan = file.gan(20_001, 2.0, "Lightning's global_step, two a batch, one for each optimizer")
    quantised = "fsq" in str(o.get("model.params.regularizer_config.target", "")).lower()
    kl = None if quantised else o.number(f"{file.loss}regularization_weights.kl_loss", 1e-6)
    notes = file.notes(importing.convert, text, parsed)
    return [
        Plan(
            ID,
            importing.TITLE,
            o,
            file.keys(),
            file.schedule(gan),
            gan,
            Loss("sum_per_frame", 1.0, file.perceptual_weight, kl, None if quantised else "sum", file.learns_logvar),
            _clip(file),
            file.optim(manual=True),
            # a term of quantised models, in all of VidTok's files: nobody expects it to act here
            tuple(replace(i, matters=not i.key.endswith("aux_loss")) for i in notes.ignored),
            notes.unknown,
        ).as_fork(notes.fork)
    ]


def _clip(file: LightningFile) -> Sample:
    o, network = file.options, file.network
    time = o.whole(f"{network}time_downsample_factor", 4)
    of_class = "Causal" in str(o.get(network.removesuffix("params.") + "target", ""))
    causal = o.flag("model.params.is_causal", of_class)
    return Sample(
        o.whole(f"{network}in_channels", 3),
        o.whole(f"{VIDEO}sample_num_frames", 17),
        o.whole(f"{VIDEO}input_height"),
        o.whole(f"{VIDEO}input_width"),
        o.whole(f"{network}z_channels"),
        (time or 4, 1 if causal else 0),
        time,
        file.factor,
        "this VidTok model",
    )


SETTINGS = (SettingsSource(ID, importing.TITLE, "microsoft/VidTok at d6ad92d", certainty, plans, importing.convert),)

"""Lightning YAML of the CompVis family: latent-diffusion, taming-transformers, generative-models, VidTok."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vaelab.config.foreign import compvis, vidtok
from vaelab.config.foreign.draft import flat
from vaelab.lint.options import Options, yaml_lines
from vaelab.lint.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule
from vaelab.lint.trainers.shared import devices_of, importer_notes

TRAINER = "lightning.trainer."
TITLES = {
    "ldm": compvis.TITLE,
    "taming": "taming-transformers (VQGAN)",
    "sgm": "generative-models (AutoencodingEngine)",
    "vidtok": vidtok.TITLE,
}
# keys of the loss below the first of these that the file has
LOSSES = ("model.params.lossconfig.params.", "model.params.loss_config.params.")
NETWORKS = ("model.params.ddconfig.", "model.params.encoder_config.params.")
DISC_START = {"ldm": 50_001, "taming": 0, "sgm": 0, "vidtok": 20_001}
COUNTERS = {
    "ldm": "Lightning's global_step: batches before Lightning 1.6, two a batch since",
    "vidtok": "Lightning's global_step, two a batch, one for each optimizer",
    "sgm": "batches, of which every second one trains the discriminator",
}
UNREAD_PIXEL = "stored, but the loss does not use it"


def matches(text: str, parsed: Any) -> bool:
    """A mapping that one of the four reads."""
    return vidtok.matches(text, parsed) or compvis.matches(text, parsed)


def family(options: Options) -> str:
    """``ldm``, ``taming``, ``sgm`` or ``vidtok``, by the model's class."""
    target = str(options.get("model.target", ""))
    if "vidtok." in target:
        return "vidtok"
    if target.startswith("sgm."):
        return "sgm"
    if target.startswith("taming.") or "vq" in target.lower() or "model.params.n_embed" in options:
        return "taming"
    return "ldm"


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    o = Options(flat(parsed), yaml_lines(text))
    name = family(o)
    loss = next((p for p in LOSSES if o.below(p)), LOSSES[0])
    network = next((p for p in NETWORKS if o.below(p)), NETWORKS[0])
    converter = {"ldm": compvis.convert, "vidtok": vidtok.convert}.get(name)
    # the size is judged by a rule of its own
    ignored, unknown = importer_notes(converter, text, parsed, o, (f"{network}resolution",)) if converter else ((), ())
    # a term of quantised models, in all of VidTok's files: nobody expects it to act here
    ignored = tuple(replace(i, matters=not i.key.endswith("aux_loss")) for i in ignored)
    if f"{loss}pixelloss_weight" in o and o.number(f"{loss}pixelloss_weight") == 1.0:
        ignored = tuple(i for i in ignored if i.key != f"{loss}pixelloss_weight")
    elif name == "taming" and "pixelloss_weight" in o.below(loss):
        ignored = (*ignored, Ignored(f"{loss}pixelloss_weight", UNREAD_PIXEL))
    keys = {
        "disc_start": f"{loss}disc_start",
        "kl_weight": f"{loss}kl_weight" if name == "ldm" else f"{loss}regularization_weights.kl_loss",
        "updates": f"{TRAINER}max_steps",
        "lr": "model.base_learning_rate",
        "size": f"{network}resolution",
        "frames": "data.params.train.params.video_params.sample_num_frames",
        "accumulate": f"{TRAINER}accumulate_grad_batches",
        "clip": f"{TRAINER}gradient_clip_val",
        "perceptual_weight": f"{loss}perceptual_weight",
        "precision": f"{TRAINER}precision",
        "checkpoint_every": "lightning.modelcheckpoint.params.every_n_train_steps",
    }
    gan = _gan(o, loss, name)
    return [
        Plan(
            name,
            TITLES[name],
            o,
            keys,
            _schedule(o, gan),
            gan,
            _loss(o, loss, name),
            _sample(o, network, name),
            _optim(o, name),
            ignored,
            unknown,
        )
    ]


def _schedule(o: Options, gan: Gan) -> Schedule:
    steps, counts = o.whole(f"{TRAINER}max_steps"), gan.counts or 1
    if steps is None or steps < 0:
        return Schedule()
    return Schedule(int(steps / counts), f"{TRAINER}max_steps {steps:,} in the same counter")


def _gan(o: Options, loss: str, name: str) -> Gan:
    built = f"{loss}disc_start" in o or "disc" in str(o.get(loss.removesuffix("params.") + "target", "")).lower()
    factor = o.number(f"{loss}disc_factor", 1.0)
    return Gan(
        built=built and factor != 0,
        asked=built,
        start=o.number(f"{loss}disc_start", DISC_START[name]),
        counts=None if name in ("ldm", "taming") else 2.0,
        counter=COUNTERS.get(name, COUNTERS["ldm"]),
    )


def _loss(o: Options, loss: str, name: str) -> Loss:
    perceptual = o.number(f"{loss}perceptual_weight", 1.0)
    learned = o.flag(f"{loss}learn_logvar")
    weights = f"{loss}regularization_weights.kl_loss"
    if name == "ldm":
        return Loss("sum", 1.0, perceptual, o.number(f"{loss}kl_weight", 1.0), "sum", learned)
    if name == "taming":
        return Loss("mean", 1.0, perceptual)
    if name == "sgm":
        return Loss("sum", 1.0, perceptual, o.number(weights), "sum", learned)
    quantised = "fsq" in str(o.get("model.params.regularizer_config.target", "")).lower()
    weight = None if quantised else o.number(weights, 1e-6)
    return Loss("sum_per_frame", 1.0, perceptual, weight, None if quantised else "sum", learned)


def _sample(o: Options, network: str, name: str) -> Sample:
    multipliers = o.get(f"{network}ch_mult")
    factor = 2 ** (len(multipliers) - 1) if isinstance(multipliers, list) else None
    channels = o.whole(f"{network}in_channels", 3)
    if name == "vidtok":
        video = "data.params.train.params.video_params."
        time = o.whole(f"{network}time_downsample_factor", 4)
        causal = o.flag(
            "model.params.is_causal", "Causal" in str(o.get(network.removesuffix("params.") + "target", ""))
        )
        return Sample(
            channels,
            o.whole(f"{video}sample_num_frames", 17),
            o.whole(f"{video}input_height"),
            o.whole(f"{video}input_width"),
            o.whole(f"{network}z_channels"),
            (time or 4, 1 if causal else 0),
            time,
            factor,
            "this VidTok model",
        )
    sizes = [k for k in o if k.startswith("data.params.train.") and k.endswith((".size", ".crop_size"))]
    size = o.whole(sizes[0]) if sizes else o.whole(f"{network}resolution")
    embed = o.whole("model.params.embed_dim", o.whole(f"{network}z_channels"))
    return Sample(channels, 1, size, size, embed, None, 1, factor, "the autoencoder")


def _optim(o: Options, name: str) -> Optim:
    base = o.number("model.base_learning_rate")
    batch = o.whole("data.params.batch_size")
    gpus = devices_of(o.get(f"{TRAINER}gpus", o.get(f"{TRAINER}devices")))
    accumulate = o.whole(f"{TRAINER}accumulate_grad_batches", 1)
    scaled = name in ("ldm", "taming")  # sgm only with the switch --scale_lr of its main.py
    rate = base
    if scaled and base is not None:
        rate = base * (batch or 1) * (gpus or 1) * (accumulate or 1)
    precision = str(o.get(f"{TRAINER}precision", "32"))
    return Optim(
        rate=rate,
        base=base,
        scaled=scaled,
        copied_base=name == "sgm",
        batch=batch,
        gpus=gpus,
        accumulate=accumulate,
        manual=name in ("sgm", "vidtok"),
        clip=o.number(f"{TRAINER}gradient_clip_val"),
        ema_decay=o.number("model.params.ema_decay"),
        precision="bf16" if "bf16" in precision else "fp16" if "16" in precision else "fp32",
        loss_in_precision=True,
    )

"""vaelab's own settings: a preset's name, a YAML file, or the folder of a run."""

from __future__ import annotations

from typing import Any

from vaelab.config import LossConfig, TrainConfig, yaml_text
from vaelab.config.foreign.draft import flat
from vaelab.config.load import SECTIONS
from vaelab.config.presets import load_preset, preset_names
from vaelab.config.refusals import refusals
from vaelab.dialects.options import Options, yaml_lines
from vaelab.dialects.plan import Gan, Ignored, Loss, Optim, Plan, Sample, Schedule

ID = "vaelab"
TITLE = "vaelab"

KEYS = {
    "disc_start": "loss.disc_start",
    "gan": "loss.disc",
    "updates": "run.steps",
    "warmup": "optim.warmup_steps",
    "kl_warmup": "loss.kl_warmup",
    "lr": "optim.lr",
    "kl_weight": "loss.kl_weight",
    "frames": "data.frames",
    "size": "data.resolution",
    "clip": "optim.clip_grad",
    "ema_decay": "optim.ema_decay",
    "accumulate": "optim.accumulate",
    "precision": "optim.precision",
    "perceptual_weight": "loss.perceptual_weight",
    "disc_warmup": "loss.disc_warmup",
}
# keys below model that only other trainers have
FOREIGN = {"target", "params", "class_path", "init_args", "ddconfig", "lossconfig", "base_learning_rate"}
# a file that states a default, as the config.yaml of a run does, asks for nothing
DEFAULTS = flat(TrainConfig().model_dump())
# frames: (step, first), frames of one latent, pixels of one latent, latent channels
CLASSES = {
    "AutoencoderKLWan": ((4, 1), 4, 8, 16),
    "AutoencoderKLCogVideoX": ((4, 1), 4, 8, 16),
    "AutoencoderKLHunyuanVideo": ((4, 1), 4, 8, 16),
    "AutoencoderKLLTXVideo": ((8, 1), 8, 32, 128),
    "AutoencoderKLMochi": ((6, 1), 6, 8, 12),
}


def matches(text: str, parsed: Any) -> bool:
    """A mapping of vaelab's sections, whose model is not described as another trainer does."""
    if not isinstance(parsed, dict) or not set(parsed) & {*SECTIONS, "base"}:
        return False
    model = parsed.get("model")
    foreign = isinstance(model, dict) and bool(FOREIGN & set(model))
    return not foreign and set(parsed) <= {*SECTIONS, "base", "name", "description"}


def plan(config: TrainConfig, text: str) -> Plan:
    """The plan of checked settings; ``text`` is the YAML that they were read from."""
    parsed = yaml_text.parse(text, "these settings") or {}
    base = parsed.get("base")
    inherited = flat(load_preset(base)) if base in preset_names() else {}
    given = Options({**inherited, **flat(parsed)}, yaml_lines(text), "override")
    loss, optim, run = config.loss, config.optim, config.run
    gan = loss.disc != "none"
    return Plan(
        ID,
        TITLE,
        given,
        KEYS,
        Schedule(run.steps, "run.steps", optim.warmup_steps, loss.kl_warmup),
        Gan(
            built=gan and loss.disc_factor > 0,
            asked=gan,
            start=loss.disc_start if gan else None,
            warmed_up=loss.disc_warmup > 0,
            ramp=loss.disc_ramp,
        ),
        Loss(
            loss.nll_reduction,
            loss.pixelloss_weight,
            loss.perceptual_weight,
            loss.kl_weight,
            loss.kl_reduction,
            loss.logvar == "learned",
        ),
        _sample(config),
        Optim(
            rate=optim.lr,
            base=optim.lr,
            batch=run.batch_size,
            accumulate=optim.accumulate,
            clip=None if optim.clip_grad == "auto" else optim.clip_grad,
            ema_decay=optim.ema_decay if optim.ema_profile == "exponential" else None,
            precision=optim.precision,
        ),
        tuple(i for i in _ignored(config) if i.key in given and given[i.key] != DEFAULTS.get(i.key)),
        own=True,
        refused=tuple((f"data.{name}", why) for name, why in refusals(config.data)),
    )


def _sample(config: TrainConfig) -> Sample:
    model, data = config.model, config.data
    kind, arguments = model.type, {} if model.pretrained else model.config
    grid, time, factor, latent = CLASSES.get(kind, (None, None, None, None))
    if kind == "CausalVideoVAE" and not model.pretrained:
        time = 2 ** sum(map(bool, _listed(arguments.get("temporal_downsample"), [True] * 3)))
        patch = arguments.get("patch_size", 1)
        whole = isinstance(patch, int) and patch > 0  # the class itself says what is wrong with another one
        factor = (
            patch * 2 ** sum(map(bool, _listed(arguments.get("spatial_downsample"), [True] * 3))) if whole else None
        )
        grid, latent = (time, 1), arguments.get("latent_channels", 16)
    elif kind == "AutoencoderKL":
        widths = _listed(arguments.get("block_out_channels"), [])
        time, latent = 1, arguments.get("latent_channels", 4)
        # the released ones, which pretrained names, are 8x8 with 4 channels or more
        factor = 8 if model.pretrained else 2 ** (len(widths) - 1) if widths else 1
    latent = latent if isinstance(latent, int) and latent > 0 else None
    return Sample(data.channels, data.frames, *data.resolution, latent, grid, time, factor, kind)


def _listed(value: object, default: list[Any]) -> list[Any]:
    """``value`` where it is a list; the class itself says what is wrong with anything else."""
    return value if isinstance(value, list) else default


def _ignored(config: TrainConfig) -> list[Ignored]:
    """Options that the other options leave without effect."""
    model, data, loss, optim = config.model, config.data, config.loss, config.optim
    found: list[Ignored] = []

    def when(condition: bool, why: str, *keys: str) -> None:
        found.extend(Ignored(key, why) for key in keys if condition)

    of_gan = [f"loss.{name}" for name in LossConfig.model_fields if name.startswith(("disc_", "d_weight", "lecam"))]
    of_gan += [f"optim.{name}" for name in type(optim).model_fields if name.startswith("disc_")]
    when(loss.disc == "none", "loss.disc is none: there is no discriminator", *of_gan)
    when(loss.disc not in ("none", "features"), "loss.disc is a PatchGAN of its own", "loss.disc_features")
    when(
        loss.disc == "features",
        "loss.disc is features: its heads have spectral norm and no strided layers",
        "loss.disc_layers",
        "loss.disc_norm",
    )
    fixed = loss.disc != "none" and loss.disc_weight_mode == "fixed"
    when(fixed, "loss.disc_weight_mode is fixed: there is no ratio", "loss.d_weight_max", "loss.d_weight_ema")
    when(loss.disc != "none" and not loss.lecam_weight, "loss.lecam_weight is 0", "loss.lecam_decay", "loss.lecam_init")
    when(loss.equivariance_weight == 0, "loss.equivariance_weight is 0", "loss.equivariance")
    when(loss.alignment_weight == 0, "loss.alignment_weight is 0", "loss.alignment_network")
    when(loss.lcr_weight == 0, "loss.lcr_weight is 0", "loss.lcr_threshold")
    when(
        optim.ema_profile == "exponential",
        "optim.ema_profile is exponential: ema_decay sets its width",
        "optim.ema_sigma_rel",
    )
    when(
        optim.ema_decay is None,
        "optim.ema_decay is null: there is no average",
        "optim.ema_profile",
        "optim.ema_sigma_rel",
    )
    when(optim.schedule == "constant", "optim.schedule is constant: the rate never falls", "optim.min_lr")
    constant = loss.disc != "none" and optim.disc_schedule == "constant"
    when(constant, "optim.disc_schedule is constant: the rate never falls", "optim.disc_min_lr")
    perceptual = [f"loss.{name}" for name in ("perceptual", "perceptual_weights", "perceptual_frames")]
    when(loss.perceptual_weight == 0, "loss.perceptual_weight is 0: there is no perceptual loss", *perceptual)
    whole = loss.perceptual_weight > 0 and (loss.perceptual_frames or 0) >= data.frames > 1
    when(whole, f"a clip has {data.frames} frames: all of them are used anyway", "loss.perceptual_frames")
    when(loss.kl_weight == 0, "loss.kl_weight is 0", "loss.kl_warmup", "loss.kl_reduction")
    when(model.pretrained is not None, "the pretrained model brings its own", "model.config")
    when(data.frames == 1, "data.frames is 1: all batches are single frames", "data.image_share", "data.fps")
    when(data.source in ("moving-shapes", "path-loss", "ray-traced", "example-clips"), "the source has no files", "data.path", "data.val_path", "data.val_share")  # fmt: skip
    files = data.source in ("videos", "images", "annotations", "radiomapseer", "webdataset", "example-clips")
    when(files, "only generated sources have a length of choice", "data.length")
    when(data.val_path is not None, "data.val_path has the held-out files", "data.val_share")
    when(config.run.on_critical != "rollback", "run.on_critical is not rollback", "run.rollback_tries")
    return found

"""The YAML of latent-diffusion's AutoencoderKL (CompVis, at a506df5) as settings of vaelab."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.draft import Draft, Imported, flat, kl_autoencoder
from vaelab.dialects.ldm.lpips_with_discriminator import (
    discriminator_start,
    discriminator_weights,
    kl_perceptual_logvar,
)
from vaelab.errors import ConfigError

TITLE = "latent-diffusion (AutoencoderKL)"
NETWORK, LOSS = "model.params.ddconfig.", "model.params.lossconfig.params."


def convert(text: str, parsed: Any) -> Imported:
    """Its settings. Raises ConfigError for models that vaelab does not train, those with vector quantisation."""
    target = str(parsed["model"].get("target", ""))
    if "n_embed" in parsed["model"]["params"] or "vq" in target.lower():
        raise ConfigError(
            f"{target or 'this model'} has a codebook (vector quantisation); vaelab trains continuous autoencoders only: for"
            " one of the same size start from the preset image-kl-f8"
        )
    draft = Draft(TITLE, flat(parsed))
    size = _model(draft)
    batch = _data(draft, size)
    _losses(draft)
    steps = _length(draft)
    _gan(draft, steps)
    _optimizers(draft, batch)
    return draft.finish("latent-diffusion-import")


def _model(d: Draft) -> int:
    """The model; gives the image size."""
    multipliers, width = d.get(f"{NETWORK}ch_mult", [1, 2, 4, 4]), d.get(f"{NETWORK}ch", 128)
    channels, size = d.get(f"{NETWORK}in_channels", 3), d.get(f"{NETWORK}resolution", 256)
    attended = d.get(f"{NETWORK}attn_resolutions", [])
    config = kl_autoencoder(
        channels,
        d.get(f"{NETWORK}out_ch", channels),
        [width * int(m) for m in multipliers],
        d.get(f"{NETWORK}num_res_blocks", 2),
        d.get("model.params.embed_dim", 4),
        [size // 2**level in attended for level in range(len(multipliers))],
    )
    d.maps("model.target", "model.type", "AutoencoderKL", "diffusers' class of the same layout")
    parts = ("ch", "in_channels", "out_ch", "num_res_blocks", "z_channels", "attn_resolutions")
    small = 2 ** (len(multipliers) - 1)
    d.maps(
        f"{NETWORK}ch_mult",
        "model.config",
        config,
        f"{small} times smaller latents; with embed_dim, {', '.join(parts)}",
    )
    for key in parts:
        d.maps(f"{NETWORK}{key}", "", None, "see ch_mult")
    d.maps("model.params.embed_dim", "", None, "see ch_mult")
    d.maps(f"{NETWORK}double_z", "", None, "always: mean and logvar")
    if d.get(f"{NETWORK}dropout", 0.0):
        d.not_carried("the class has no dropout", f"{NETWORK}dropout")
    d.maps(f"{NETWORK}dropout", "", None, "no dropout in both") if not d.get(f"{NETWORK}dropout", 0.0) else None
    if d.options.get("model.params.ckpt_path"):
        d.not_carried(
            "its checkpoints do not load; give a diffusers folder as model.pretrained", "model.params.ckpt_path"
        )
    else:
        d.no_effect("empty", "model.params.ckpt_path")
    d.maps("model.params.monitor", "", None, "the best checkpoint is kept here too")
    d.not_carried(
        "keys of the model's own names only", *d.children("model.params.ignore_keys", "model.params.image_key")
    )
    d.no_effect("only colours pictures of segmentations", *d.children("model.params.colorize_nlabels"))
    return int(size)


def _data(d: Draft, size: int) -> int:
    """The data; gives the batch size."""
    sizes = [k for k in d.options if k.startswith("data.params.train.") and k.endswith((".size", ".crop_size"))]
    d.fixed("images", "data.source", "images")
    d.fixed("single images", "data.frames", 1)
    if sizes:
        edge = int(d.get(sizes[0], size))
        d.maps(sizes[0], "data.resolution", [edge, edge])
        d.maps(f"{NETWORK}resolution", "", None, "the data decide the size")
    else:
        d.maps(f"{NETWORK}resolution", "data.resolution", [size, size])
    if d.get(f"{NETWORK}in_channels", 3) == 1:
        d.fixed("grey images", "data.channels", 1)
    d.needs("data.path", None, "the folder of images: it is not in the file in a form that can be carried over; set it")
    batch = d.get("data.params.batch_size", 12)
    d.maps("data.params.batch_size", "run.batch_size", batch, "of one process in both")
    if "data.params.num_workers" in d.options:
        d.maps("data.params.num_workers", "data.workers", d.get("data.params.num_workers", 2))
    d.not_carried("data sets are chosen with data.source and data.path", *d.children("data."))
    return int(batch)


def _losses(d: Draft) -> None:
    d.fixed("pixel loss", "loss.pixel_loss", "l1")
    d.fixed(
        "sum over an image, mean over the batch",
        "loss.nll_reduction",
        "sum",
        "196,608 times the loss of a value at 256x256x3",
    )
    kl_perceptual_logvar(d, LOSS, "an image")
    d.mended(
        "LPIPS",
        "",
        None,
        "Lightning puts it into train mode (dropout), and features of zero give NaN; here neither happens",
    )
    d.no_effect("stored, but the loss does not use it", f"{LOSS}pixelloss_weight")
    d.maps("model.params.lossconfig.target", "", None, "the losses above")


def _length(d: Draft) -> int:
    start = d.get(f"{LOSS}disc_start", 50_001)
    given = next((k for k in ("lightning.trainer.max_steps",) if k in d.options), None)
    if given:
        steps = int(d.get(given, 1))
        d.maps(given, "run.steps", steps, "Lightning 1.6 and later count both optimizers: half of it then")
    else:
        steps = max(200_000, 2 * start)
        d.needs("run.steps", steps, "the original runs until it is stopped; this is a choice")
    for key in d.children("lightning.trainer.max_epochs"):
        d.not_carried("runs are counted in steps: set run.steps", key)
    return steps


def _gan(d: Draft, steps: int) -> None:
    counted = "generator updates here; there the steps of all optimizers, which from Lightning 1.6 on are two a batch: halve it to start at the same update"
    discriminator_start(d, LOSS, steps, counted)
    discriminator_weights(d, LOSS, "images")
    if d.get(f"{LOSS}disc_conditional", False):
        d.not_carried("the discriminator sees the image only", f"{LOSS}disc_conditional")
    else:
        d.maps(f"{LOSS}disc_conditional", "", None, "the discriminator sees the image only, in both")
    d.not_carried("another norm is used, see below", f"{LOSS}use_actnorm")


def _optimizers(d: Draft, batch: int) -> None:
    accumulate = d.get("lightning.trainer.accumulate_grad_batches", 1)
    gpus, name = _gpus(d)
    base = d.get("model.base_learning_rate", 4.5e-6)
    lr = float(f"{base * batch * gpus * accumulate:.10g}")
    rule = f"{lr:.3g} = {accumulate} (accumulation) x {gpus} (GPUs) x {batch} (batch) x {base:g}: the original scales it so; here the rate is what is written"
    d.maps(
        "model.base_learning_rate",
        "optim.lr",
        lr,
        f"{rule}. The number of GPUs is {'of the file' if name else 'not in the file: 1 is assumed'}",
    )
    if name:
        d.maps(name, "", None, "start vaelab with torchrun on as many")
    d.fixed("rate of the discriminator", "optim.disc_lr", lr)
    d.maps("lightning.trainer.accumulate_grad_batches", "optim.accumulate", accumulate)
    d.fixed("Adam's betas", "optim.betas", [0.5, 0.9])
    d.fixed("betas of the discriminator", "optim.disc_betas", [0.5, 0.9])
    clip = d.options.get("lightning.trainer.gradient_clip_val")
    if clip:
        d.maps(
            "lightning.trainer.gradient_clip_val", "optim.clip_grad", d.get("lightning.trainer.gradient_clip_val", 1.0)
        )
    else:
        d.mended(
            "no clipping",
            "optim.clip_grad",
            4e5,
            "a sum over an image has gradients of a norm of the order of 100,000; this stops only explosions",
        )
    precision = str(d.options.get("lightning.trainer.precision", "32"))
    if "lightning.trainer.precision" in d.options:
        kind = "bf16" if "bf16" in precision else "fp16" if "16" in precision else "fp32"
        d.maps("lightning.trainer.precision", "optim.precision", kind)
    d.mended(
        "two runs of the autoencoder a step",
        "",
        None,
        "one for each optimizer there; one here, which is faster and the same",
    )
    d.not_carried(
        "vaelab has its own previews, checkpoints and logs",
        *d.children("lightning.callbacks", "lightning.modelcheckpoint", "lightning.logger"),
    )
    d.not_carried("a switch of Lightning", *d.children("lightning."))


def _gpus(d: Draft) -> tuple[int, str]:
    """Number of GPUs that the file names (``gpus: 0,1,``, ``devices: 4``) and the key that says so."""
    for key in ("lightning.trainer.gpus", "lightning.trainer.devices"):
        value = d.options.get(key)
        if isinstance(value, int) and value > 0:
            return value, key
        if isinstance(value, str) and "," in value:
            return len([part for part in value.split(",") if part.strip()]), key
    return 1, ""

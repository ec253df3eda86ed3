"""RadioDiff's ``first_radio.yaml``, read by its ``train_vae.py`` (facts: UNIC-Lab/RadioDiff at 14c4a8c)."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.draft import Draft, Imported, flat, kl_autoencoder
from vaelab.dialects.ldm.lpips_with_discriminator import (
    discriminator_start,
    discriminator_weights,
    kl_perceptual_logvar,
)

TITLE = "RadioDiff (train_vae.py)"
LOSS = "model.lossconfig."


def convert(text: str, parsed: Any) -> Imported:
    """Its settings; every key of the file has a note."""
    draft = Draft(TITLE, flat(parsed))
    _model(draft)
    _data(draft)
    steps = _length(draft)
    _losses(draft)
    _gan(draft, steps)
    _optimizers(draft)
    return draft.finish("radiodiff-import")


def _model(d: Draft) -> None:
    multipliers = d.get("model.ddconfig.ch_mult", [1, 2, 4])
    width = d.get("model.ddconfig.ch", 128)
    channels = d.get("model.ddconfig.in_channels", 1)
    latent = d.get("model.embed_dim", d.get("model.ddconfig.z_channels", 3))
    config = kl_autoencoder(
        channels,
        d.get("model.ddconfig.out_ch", channels),
        [width * int(f) for f in multipliers],
        d.get("model.ddconfig.num_res_blocks", 2),
        latent,
        [False] * len(multipliers),
    )
    d.fixed("autoencoder", "model.type", "AutoencoderKL", "diffusers' class of the same layout")
    d.maps(
        "model.ddconfig.ch_mult",
        "model.config",
        config,
        f"{2 ** (len(multipliers) - 1)} times smaller latents; with ch, in_channels, out_ch, num_res_blocks, embed_dim and z_channels",
    )
    for key in ("ch", "in_channels", "out_ch", "num_res_blocks", "z_channels"):
        d.maps(f"model.ddconfig.{key}", "", None, "see ch_mult")
    d.maps("model.embed_dim", "", None, "see ch_mult")
    if "model.ddconfig.double_z" in d.options:
        d.maps("model.ddconfig.double_z", "", None, "always: mean and logvar")
    if d.options.get("model.ddconfig.attn_resolutions"):
        d.not_carried(
            "attention is in the middle only; list AttnDownEncoderBlock2D in model.config for more",
            "model.ddconfig.attn_resolutions",
        )
    elif "model.ddconfig.attn_resolutions" in d.options:
        d.maps("model.ddconfig.attn_resolutions", "", None, "none but in the middle, in both")
    if d.get("model.ddconfig.dropout", 0.0) == 0:
        d.maps("model.ddconfig.dropout", "", None, "no dropout in both")
    d.not_carried("the class has no dropout", *(k for k in d.children("model.ddconfig.dropout")))
    d.no_effect("nothing reads it: the maps are 256x256", "model.ddconfig.resolution")
    if d.options.get("model.ckpt_path"):
        d.not_carried("its checkpoints do not load; give a diffusers folder as model.pretrained", "model.ckpt_path")
    else:
        d.no_effect("empty", "model.ckpt_path")


def _data(d: Draft) -> None:
    channels = d.get("model.ddconfig.in_channels", 1)
    d.fixed("maps of 256x256", "data.resolution", [256, 256])
    d.fixed("single images", "data.frames", 1)
    d.fixed("whole maps", "data.random_crop", False)
    d.fixed("values of a pixel", "data.channels", 3 if channels == 3 else 1)
    d.maps("data.name", "data.source", "radiomapseer")
    d.needs("data.path", None, "the folder of RadioMapSeer: it is written into the original's code; set it here")
    d.mended(
        "split", "", None, "map 600 is in training and in validation there; here the official map numbers are used"
    )
    d.maps("data.batch_size", "run.batch_size", d.get("data.batch_size", 2), "of one process in both")
    for key in d.children("data."):
        d.no_effect("not read for name: radio", key)


def _length(d: Draft) -> int:
    steps = d.get("trainer.train_num_steps", 150_000)
    save = d.get("trainer.save_and_sample_every", 5000)
    d.maps("trainer.train_num_steps", "run.steps", steps)
    d.maps("trainer.save_and_sample_every", "run.checkpoint_every", save)
    d.mended(
        "sampling at each save",
        "run.validate_every",
        save,
        "previews came from the training batch; here from held-out maps",
    )
    d.maps("trainer.log_freq", "run.log_every", d.get("trainer.log_freq", 100))
    d.not_carried(
        "belongs to the start of a run, not to its settings", "trainer.results_folder", "trainer.resume_milestone"
    )
    d.no_effect("nothing reads it", "trainer.amp")
    half = bool(d.get("trainer.fp16", False))
    if "trainer.fp16" in d.options:
        d.maps(
            "trainer.fp16",
            "optim.precision",
            "fp16" if half else "fp32",
            "sums over a map overflow fp16 there; losses stay fp32 here" if half else "",
        )
    return steps


def _losses(d: Draft) -> None:
    d.fixed("pixel loss", "loss.pixel_loss", "l1+mse", "absolute plus squared error of each pixel")
    d.fixed("sum over a map, mean over the batch", "loss.nll_reduction", "sum", "65,536 times the loss of a pixel")
    kl_perceptual_logvar(d, LOSS, "a map")
    d.mended(
        "LPIPS in train mode",
        "",
        None,
        "its dropout goes on at the first sampling there; here it stays in eval mode, and cannot give NaN at features of zero",
    )
    d.no_effect("nothing reads it", f"{LOSS}pixel_weight", f"{LOSS}pixelloss_weight")


def _gan(d: Draft, steps: int) -> None:
    discriminator_start(d, LOSS, steps, "generator updates in both")
    discriminator_weights(d, LOSS, "maps")


def _optimizers(d: Draft) -> None:
    lr, floor = d.get("trainer.lr", 5e-6), d.get("trainer.min_lr", 5e-7)
    d.maps("trainer.lr", "optim.lr", lr, "of both networks")
    d.fixed("rate of the discriminator", "optim.disc_lr", lr)
    last = floor if floor <= lr else lr * floor  # above lr it is meant as the factor that it is there
    d.corrected(
        "trainer.min_lr",
        "optim.min_lr",
        last,
        f"used as a factor there, so the rate falls to {lr * floor:.2g}; here it is the last rate",
    )
    d.mended("min_lr of the discriminator", "optim.disc_min_lr", last, "the same")
    d.fixed("decay (1 - step/steps)^0.95", "optim.schedule", "linear", "nearly the same curve")
    d.fixed("decay of the discriminator", "optim.disc_schedule", "linear")
    count = d.get("trainer.gradient_accumulate_every", 2)
    crash = "" if count == 2 else f"; with {count} instead of 2 the original ends with an error"
    d.corrected(
        "trainer.gradient_accumulate_every",
        "optim.accumulate",
        1,
        f"it is the number of optimizers there: nothing is accumulated, and both losses are halved, which AdamW does not feel{crash}",
    )
    d.mended(
        "clipping at 1.0",
        "optim.clip_grad",
        2e5,
        "after the step there, so it did nothing; here before it. A sum over 65,536 pixels has gradients of norm 10,000 and more: 1.0 would shrink every step, 200,000 stops only explosions",
    )
    d.fixed("AdamW's betas", "optim.betas", [0.9, 0.999])
    d.fixed("betas of the discriminator", "optim.disc_betas", [0.9, 0.999])
    d.fixed("weight decay", "optim.weight_decay", 0.01)
    d.mended(
        "EMA 0.995 every 10 steps", "optim.ema_decay", 0.9995, "the same as 0.9995 a step; on one process only there"
    )
    d.mended(
        "several GPUs",
        "",
        None,
        "gradients are not averaged there, because the model is called past DDP; here they are",
    )

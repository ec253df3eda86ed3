"""VidTok's YAML for its continuous tokenizers, started by Lightning (facts: microsoft/VidTok at d6ad92d)."""

from __future__ import annotations

from typing import Any

from vaelab.config.foreign.draft import Draft, Imported, flat
from vaelab.errors import ConfigError

TITLE = "VidTok (main.py)"
NETWORK, LOSS = "model.params.encoder_config.params.", "model.params.loss_config.params."
VIDEO, TRAINER = "data.params.train.params.video_params.", "lightning.trainer."


def convert(text: str, parsed: Any) -> Imported:
    """Its settings. Raises ConfigError for the quantised tokenizers (FSQ)."""
    d = Draft(TITLE, flat(parsed))
    regularizer = str(d.options.get("model.params.regularizer_config.target", ""))
    if "FSQ" in regularizer or "fsq" in regularizer:
        raise ConfigError(
            f"{regularizer} quantises the latent; vaelab trains continuous autoencoders only: import a kl configuration of VidTok"
        )
    _model(d)
    _data(d)
    steps = _length(d)
    _losses(d)
    _gan(d, steps)
    _optimizers(d)
    d.not_carried("only the training data are carried over; set data.val_path", *d.children("data.params.validation"))
    d.not_carried(
        "vaelab has its own previews, checkpoints and logs",
        *d.children("lightning.callbacks", "lightning.modelcheckpoint"),
    )
    d.not_carried("a switch of Lightning", *d.children("lightning."))
    return d.finish("vidtok-import")


def _model(d: Draft) -> None:
    config = {
        "in_channels": d.get(f"{NETWORK}in_channels", 3),
        "out_channels": d.get(f"{NETWORK}out_ch", 3),
        "ch": d.get(f"{NETWORK}ch", 128),
        "ch_mult": d.get(f"{NETWORK}ch_mult", [1, 2, 4, 4]),
        "z_channels": d.get(f"{NETWORK}z_channels", 4),
        "num_res_blocks": d.get(f"{NETWORK}num_res_blocks", 2),
        "dropout": d.get(f"{NETWORK}dropout", 0.0),
        "is_causal": bool(d.get("model.params.is_causal", True)),
    }
    d.maps("model.target", "model.type", "AutoencoderVidTok", "diffusers' class of the same network")
    d.maps("model.params.encoder_config.target", "model.config", config, "with the options below")
    for key in ("in_channels", "out_ch", "ch", "ch_mult", "z_channels", "num_res_blocks", "dropout", "double_z"):
        d.maps(f"{NETWORK}{key}", "", None, "in model.config")
    d.maps("model.params.is_causal", "", None, "in model.config")
    if d.get(f"{NETWORK}time_downsample_factor", 4) == 4:
        d.maps(f"{NETWORK}time_downsample_factor", "", None, "the default of the class")
    else:
        d.not_carried("set tempo_ds and tempo_us in model.config", f"{NETWORK}time_downsample_factor")
    if d.get(f"{NETWORK}use_checkpoint", False):
        d.maps(f"{NETWORK}use_checkpoint", "optim.activation_checkpointing", True)
    else:
        d.maps(f"{NETWORK}use_checkpoint", "", None, "off in both")
    d.not_carried("encoder and decoder are both trained", *d.children(f"{NETWORK}fix_"))
    d.not_carried("the class decides it", *d.children(NETWORK), *d.children("model.params.decoder_config"))
    d.maps("model.params.regularizer_config.target", "", None, "a KL to N(0, 1)")
    d.maps("model.params.monitor", "", None, "the best checkpoint is kept here too")
    d.maps("model.params.mode", "", None, "see monitor")
    if d.options.get("model.params.ckpt_path"):
        d.not_carried(
            "its checkpoints do not load; give a diffusers folder as model.pretrained", "model.params.ckpt_path"
        )
    d.not_carried("belongs to loading a checkpoint", *d.children("model.params.ignore_keys", "model.params.ckpt_path"))
    if "model.params.ema_decay" in d.options:
        d.maps(
            "model.params.ema_decay",
            "optim.ema_decay",
            d.get("model.params.ema_decay", 0.999),
            "of the autoencoder; theirs averages the discriminator too",
        )


def _data(d: Draft) -> None:
    height, width = d.options.get(f"{VIDEO}input_height"), d.options.get(f"{VIDEO}input_width")
    if isinstance(height, int) and isinstance(width, int):
        d.maps(f"{VIDEO}input_height", "data.resolution", [height, width], "height and width")
        d.maps(f"{VIDEO}input_width", "", None, "see input_height")
    else:
        d.not_carried("a placeholder: 256x256 is taken", f"{VIDEO}input_height", f"{VIDEO}input_width")
        d.needs("data.resolution", [256, 256], "the file has placeholders; this is a choice")
    d.maps(f"{VIDEO}sample_num_frames", "data.frames", d.get(f"{VIDEO}sample_num_frames", 17))
    if f"{VIDEO}sample_fps" in d.options:
        d.maps(f"{VIDEO}sample_fps", "data.fps", d.get(f"{VIDEO}sample_fps", 3.0))
    d.fixed("videos", "data.source", "videos")
    folder = d.options.get("data.params.train.params.data_dir")
    if isinstance(folder, str) and "DATA_DIR" not in folder:
        d.maps("data.params.train.params.data_dir", "data.path", folder)
    else:
        d.not_carried("a placeholder: set data.path", "data.params.train.params.data_dir")
        d.needs("data.path", None, "the folder of videos: set it")
    d.not_carried("the folder is searched for videos; no list is read", "data.params.train.params.meta_path")
    d.mended(
        "a video that fails",
        "",
        None,
        "becomes a black clip there, which is trained on; here it is set aside and counted",
    )
    d.maps("data.params.batch_size", "run.batch_size", d.get("data.params.batch_size", 2), "of one process in both")
    d.maps("data.params.num_workers", "data.workers", d.get("data.params.num_workers", 2))
    d.not_carried("chosen with data.source", *d.children("data.target", "data.params.train"))


def _length(d: Draft) -> int:
    start = d.get(f"{LOSS}disc_start", 20_001) // 2
    d.not_carried("runs are counted in steps: set run.steps", *d.children(f"{TRAINER}max_epochs"))
    steps = max(200_000, 2 * start)
    d.needs("run.steps", steps, "the length of an epoch is not in the file; this is a choice")
    saves = "lightning.modelcheckpoint.params.every_n_train_steps"
    if saves in d.options:
        d.corrected(
            saves,
            "run.checkpoint_every",
            max(d.get(saves, 5000) // 2, 1),
            "counted in steps of both optimizers there, two a batch",
        )
    if f"{TRAINER}val_check_interval" in d.options:
        d.maps(
            f"{TRAINER}val_check_interval",
            "run.validate_every",
            max(int(d.get(f"{TRAINER}val_check_interval", 2000.0)), 1),
            "batches",
        )
    return steps


def _losses(d: Draft) -> None:
    d.fixed("pixel loss", "loss.pixel_loss", "l1")
    d.fixed("sum over a frame, mean over frames", "loss.nll_reduction", "sum_per_frame")
    d.maps(f"{LOSS}perceptual_weight", "loss.perceptual_weight", d.get(f"{LOSS}perceptual_weight", 1.0))
    d.fixed("LPIPS", "loss.perceptual", "vgg16")
    d.mended("LPIPS", "", None, "Lightning puts it into train mode (dropout); here it stays in eval mode")
    key = f"{LOSS}regularization_weights."
    weight = d.get(f"{key}kl_loss", 1e-6)
    frames = d.get(f"{VIDEO}sample_num_frames", 17)
    d.maps(
        f"{key}kl_loss",
        "loss.kl_weight",
        weight,
        f"of the sum over the whole clip, beside a nll of one frame: with more frames than {frames} the KL weighs more",
    )
    d.fixed("KL", "loss.kl_reduction", "sum")
    d.no_effect("a continuous tokenizer has no such term", f"{key}aux_loss")
    learned = bool(d.get(f"{LOSS}learn_logvar", False))
    d.maps(
        f"{LOSS}learn_logvar",
        "loss.logvar",
        "learned" if learned else "off",
        "nll_loss becomes negative, by design" if learned else "",
    )
    if f"{LOSS}logvar_init" in d.options:
        d.maps(f"{LOSS}logvar_init", "loss.logvar_init", d.get(f"{LOSS}logvar_init", 0.0))
    d.no_effect("stored, but the loss does not use it", f"{LOSS}pixelloss_weight")
    d.maps(f"{LOSS}dims", "", None, "clips, as the data decide")
    d.maps("model.params.loss_config.target", "", None, "the losses above")


def _gan(d: Draft, steps: int) -> None:
    start = d.get(f"{LOSS}disc_start", 20_001)
    ours = (start + 1) // 2
    d.corrected(
        f"{LOSS}disc_start",
        "loss.disc_start",
        ours,
        f"compared with Lightning's counter of both optimizers there, two a batch: {start} means generator update {ours}, where it starts here too",
    )
    d.mended(
        "discriminator at its start",
        "loss.disc_warmup",
        min(1000, ours // 10),
        "its loss is multiplied by 0 before the start there; here it is trained alone before",
    )
    kind = str(d.get(f"{LOSS}disc_type", "2d"))
    d.maps(f"{LOSS}disc_type", "loss.disc", "patch3d" if kind == "3d" else "patch2d")
    d.maps(f"{LOSS}disc_weight", "loss.disc_weight", d.get(f"{LOSS}disc_weight", 1.0))
    for key, option, default in (("disc_factor", "loss.disc_factor", 1.0), ("disc_num_layers", "loss.disc_layers", 3)):
        if f"{LOSS}{key}" in d.options:
            d.maps(f"{LOSS}{key}", option, d.get(f"{LOSS}{key}", default))
    loss = str(d.get(f"{LOSS}disc_loss", "hinge"))
    d.maps(f"{LOSS}disc_loss", "loss.disc_loss", loss)
    if d.get(f"{LOSS}gen_loss_cross_entropy", False):
        d.corrected(
            f"{LOSS}gen_loss_cross_entropy",
            "",
            None,
            f"softplus of the mean logit for the generator, {loss} for the discriminator there; here both are of one family ({loss})",
        )
    else:
        d.maps(f"{LOSS}gen_loss_cross_entropy", "", None, "-mean(logits) in both")
    if f"{LOSS}lecam_loss_weight" in d.options:
        weight = d.get(f"{LOSS}lecam_loss_weight", 0.0)
        d.maps(
            f"{LOSS}lecam_loss_weight",
            "loss.lecam_weight",
            weight,
            "its means are saved in the checkpoint here, and neither validation nor batches before disc_start move them",
        )
        if weight:
            d.fixed("start of LeCam's means", "loss.lecam_init", "zero")


def _optimizers(d: Draft) -> None:
    lr = d.get("model.base_learning_rate", 1e-5)
    d.maps("model.base_learning_rate", "optim.lr", lr, "not scaled by batch or GPUs, in both")
    d.fixed("rate of the discriminator", "optim.disc_lr", lr)
    d.fixed("Adam's betas", "optim.betas", [0.9, 0.999])
    d.fixed("betas of the discriminator", "optim.disc_betas", [0.9, 0.999])
    d.fixed("clipping", "optim.clip_grad", 20.0, "of both networks")
    d.fixed("clipping of the discriminator", "optim.disc_clip_grad", 20.0)
    accumulate = d.get(f"{TRAINER}accumulate_grad_batches", 1)
    if accumulate == 1:
        d.maps(f"{TRAINER}accumulate_grad_batches", "optim.accumulate", 1)
    else:
        d.corrected(
            f"{TRAINER}accumulate_grad_batches",
            "optim.accumulate",
            accumulate,
            "Lightning refuses it with two optimizers; here it works",
        )
    precision = str(d.options.get(f"{TRAINER}precision", "32"))
    kind = "bf16" if "bf16" in precision else "fp16" if "16" in precision else "fp32"
    d.maps(
        f"{TRAINER}precision",
        "optim.precision",
        kind,
        "theirs clips scaled gradients under fp16" if kind == "fp16" else "",
    )

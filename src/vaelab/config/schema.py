"""The settings of a training run: every option, its default, its unit and what it does.

Names are the field's (``kl_weight``, ``disc_start``, ``clip_grad``). An unknown name is an error: at least thirty options
that nothing reads were found in public trainers (``docs/decisions.md``).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

DATA_SOURCES = Literal[
    "videos",
    "images",
    "annotations",
    "radiomapseer",
    "webdataset",
    "example-clips",
    "moving-shapes",
    "path-loss",
    "ray-traced",
]
PERCEPTUAL_BACKBONES = Literal["vgg16", "stlpips-vgg", "stlpips-alex"]


Beta = Annotated[float, Field(ge=0, lt=1)]
Clip = Annotated[float, Field(gt=0)] | Literal["auto"] | None


class Section(BaseModel):
    """One part of the settings; unknown names are refused."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, frozen=True, allow_inf_nan=False)


class ModelConfig(Section):
    """The autoencoder that is trained."""

    type: str = Field(
        "CausalVideoVAE",
        description="Class of the autoencoder: CausalVideoVAE (vaelab's) or any autoencoder class of diffusers, such as"
        " AutoencoderKL, AutoencoderKLWan, AutoencoderKLCogVideoX, AutoencoderDC.",
    )
    pretrained: str | None = Field(
        None,
        description="Start from these weights: a folder written by save_pretrained, a hub id, or vaelab:video-tiny, which comes"
        " with vaelab.",
    )
    subfolder: str | None = Field(None, description="Folder inside the pretrained model, for example vae.")
    config: dict[str, Any] = Field(
        default_factory=dict,
        description="Arguments of the class, as in its config.json; ignored when pretrained is set.",
    )
    deterministic: bool = Field(
        False, description="Train on the mean of the posterior: no sampling noise. Deterministic classes imply it."
    )
    latent_noise: float = Field(
        0.0,
        ge=0,
        description="Largest standard deviation of noise that training adds to the latent before the decoder, over the latent's own;"
        " drawn for each sample. A decoder that bears what a diffusion model gets wrong.",
    )
    latent_mask: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Largest share of the latent's places that training sets to 0 before the decoder, drawn for each sample.",
    )
    freeze: Literal["none", "encoder"] = Field(
        "none",
        description="encoder: train the decoder alone. The latents stay as they are, to the bit, for the averaged weights too.",
    )
    freeze_from: int = Field(0, ge=0, description="First step (generator updates) at which freeze is in force.")


class DataConfig(Section):
    """What it is trained on. Samples are uint8 clips of ``frames`` x ``resolution``."""

    source: DATA_SOURCES = Field(
        "videos",
        description="videos or images: a folder, searched in depth. annotations: JSON lines of Pyramid-Flow (key video or"
        " image). radiomapseer: that data set's folder. webdataset: .tar shards. example-clips: real clips that come with"
        " vaelab. moving-shapes, path-loss: generated. ray-traced: radio maps by Sionna RT (extra radio).",
    )
    path: str | None = Field(None, description="Folder, file or glob of the training data.")
    val_path: str | None = Field(None, description="Held-out data; without it val_share of the files is held out.")
    val_share: float = Field(
        0.05, gt=0, lt=1, description="Share of the files (by a hash of the name) that is held out."
    )
    val_samples: int = Field(16, ge=1, description="Held-out samples that a validation looks at; always the same ones.")
    frames: int = Field(17, ge=1, description="Frames of a clip; causal models want a multiple of their factor plus 1.")
    resolution: tuple[int, int] = Field((256, 256), description="Height and width of a sample, in pixels.")
    channels: Literal[1, 3] = Field(3, description="3 for colour, 1 for grey images and radio maps.")
    fps: float | None = Field(None, gt=0, description="Frames a second after sampling; without it the file's own rate.")
    image_share: float = Field(
        0.0, ge=0, le=1, description="Share of the batches that hold single frames instead of clips."
    )
    random_crop: bool = Field(True, description="Random place and size of the crop; else the centre, scaled to fit.")
    flip: bool = Field(True, description="Mirror half of the samples left to right.")
    white_level: int = Field(
        65535,
        ge=1,
        le=65535,
        description="Value of white in images of 16 bits a channel: 4095 where they hold 12-bit data.",
    )
    workers: int = Field(2, ge=0, description="Processes that decode; 0 decodes in the training process.")
    max_bad_share: float = Field(
        0.05, ge=0, le=1, description="Stop with an error when a larger share of the files cannot be decoded."
    )
    length: int = Field(1000, ge=1, description="Samples in one epoch of a generated source.")
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Options of one source, such as scenes of ray-traced or simulation of radiomapseer.",
    )


class LossConfig(Section):
    """The objective. ``total = nll + kl_weight * kl + d_weight * disc_factor * g_loss``."""

    pixel_loss: Literal["mse", "l1", "l1+mse", "charbonnier"] = Field("l1", description="Loss of one value.")
    pixelloss_weight: float = Field(1.0, ge=0, description="Weight of the pixel loss inside nll_loss.")
    nll_reduction: Literal["mean", "sum", "sum_per_frame"] = Field(
        "mean",
        description="mean: over all values (Pyramid-Flow). sum: over a sample, mean over the batch (latent-diffusion,"
        " RadioDiff). sum_per_frame: over a frame, mean over frames (VidTok).",
    )
    perceptual: PERCEPTUAL_BACKBONES = Field(
        "vgg16",
        description="Backbone of the perceptual loss. vgg16 is LPIPS; stlpips-vgg and stlpips-alex are its shift-tolerant"
        " variants, whose weights come inside the package stlpips-pytorch.",
    )
    perceptual_weight: float = Field(1.0, ge=0, description="Weight of the perceptual loss inside nll_loss; 0: off.")
    perceptual_weights: str | None = Field(
        None, description="File with the backbone's weights; without it the package or the usual download."
    )
    perceptual_frames: int | None = Field(
        None, ge=1, description="Frames of each clip, drawn at random, on which the perceptual loss is computed."
    )
    logvar: Literal["off", "learned"] = Field(
        "off", description="learned: nll = loss / exp(logvar) + logvar, with logvar in the optimizer."
    )
    logvar_init: float = Field(0.0, ge=-50, le=50, description="First value of logvar.")
    kl_weight: float = Field(1e-6, ge=0, description="Weight of the KL in the unit of kl_reduction.")
    kl_reduction: Literal["mean", "sum", "sum_per_frame", "channel_mean"] = Field(
        "sum",
        description="mean: nats per latent element. sum: nats per sample. sum_per_frame: nats per latent frame."
        " channel_mean: Pyramid-Flow's mean over batch and latent channels of the sum over time and space.",
    )
    kl_warmup: int = Field(0, ge=0, description="Steps over which kl_weight grows from 0.")
    lcr_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of local-correlation regularisation, relu(lcr_threshold - correlation of neighbouring latents): a latent"
        " that a diffusion model learns sooner, for some PSNR; 0: off.",
    )
    lcr_threshold: float = Field(
        0.75, gt=-1, le=1, description="Correlation from which nothing more is asked for (0.75 in SSVAE)."
    )
    equivariance_weight: float = Field(
        0.0,
        ge=0,
        description="Weight, beside the pixel loss's, of the pixel loss between what a scaled or rotated latent decodes to and the"
        " picture scaled and rotated alike: a latent without detail that only the decoder can read; 0: off.",
    )
    equivariance: Literal["scale", "scale+rotate"] = Field(
        "scale+rotate",
        description="scale: to a half or a quarter (scale equivariance). scale+rotate: between a quarter and the whole, with quarter"
        " turns (EQ-VAE).",
    )
    alignment_weight: float = Field(
        0.0,
        ge=0,
        description="Weight of the alignment of the latent to a frozen vision network (VA-VAE): cosines, and distances between places; 0:"
        " off.",
    )
    alignment_network: str | None = Field(
        None, description="Folder with that network: DINOv2 as transformers saves it (config.json, model.safetensors)."
    )
    disc: Literal["none", "patch2d", "patch3d", "features"] = Field(
        "patch2d",
        description="Discriminator: PatchGAN on frames, on clips, small heads on the features of a frozen network (disc_features), or none"
        " (no GAN at all).",
    )
    disc_features: str = Field(
        "stlpips-vgg",
        description="Frozen network of disc=features: vgg16, stlpips-vgg, stlpips-alex (as perceptual has them), or a folder with DINOv2 as"
        " transformers saves it.",
    )
    disc_augment: tuple[Literal["colour", "translation", "cutout"], ...] = Field(
        (),
        description="Differentiable augmentation of what any discriminator sees, drawn anew each step, the same for data and"
        " reconstruction: for small data sets.",
    )
    disc_layers: int = Field(3, ge=1, le=6, description="Strided layers of the PatchGAN (n_layers).")
    disc_channels: int = Field(64, ge=8, description="Channels of its first layer (ndf), or of the heads.")
    disc_norm: Literal["group", "instance", "spectral", "none"] = Field(
        "group",
        description="Its normalisation. Batch norm is not offered: real and fake batches would share statistics.",
    )
    disc_loss: Literal["hinge", "vanilla", "non-saturating"] = Field(
        "hinge",
        description="hinge and vanilla: the generator minimises -mean(logits_fake). non-saturating: the discriminator as"
        " vanilla, the generator minimises softplus(-logits_fake).",
    )
    disc_weight: float = Field(
        0.5, ge=0, description="Multiplies the adaptive weight, or is the weight if it is fixed."
    )
    disc_weight_mode: Literal["adaptive", "fixed"] = Field(
        "adaptive", description="adaptive: gradient of nll over gradient of g_loss at the decoder's last layer."
    )
    d_weight_max: float = Field(1e4, gt=0, description="Upper clamp of the adaptive ratio, before disc_weight.")
    d_weight_ema: float = Field(0.0, ge=0, lt=1, description="Smoothing of the adaptive ratio over steps; 0: none.")
    disc_factor: float = Field(1.0, ge=0, description="Factor of both adversarial losses after disc_start.")
    disc_start: int = Field(
        50_001, ge=0, description="First step (generator updates) at which the decoder sees the discriminator."
    )
    disc_warmup: int = Field(
        0, ge=0, description="Steps before disc_start in which the discriminator alone is trained."
    )
    disc_ramp: int = Field(
        0, ge=0, description="Steps after disc_start over which disc_factor grows from 0 (generator only)."
    )
    lecam_weight: float = Field(
        0.0, ge=0, description="Weight of LeCam beside the discriminator's loss, both times disc_factor; 0: off."
    )
    lecam_decay: float = Field(0.999, ge=0, lt=1, description="Decay of LeCam's running means of the logits.")
    lecam_init: Literal["measured", "zero"] = Field(
        "measured",
        description="Where these means begin. measured: at the first logits. zero: as in VidTok, which pulls the logits to 0"
        " over the first 1 / (1 - lecam_decay) steps.",
    )


class OptimConfig(Section):
    """How both networks are updated."""

    lr: float = Field(1e-4, gt=0, description="Learning rate of the autoencoder after warm-up.")
    min_lr: float = Field(0.0, ge=0, description="Learning rate at the end of cosine or linear.")
    schedule: Literal["constant", "cosine", "linear"] = Field("constant", description="Learning rate after warm-up.")
    warmup_steps: int = Field(0, ge=0, description="Steps over which the learning rate grows from lr / warmup_steps.")
    betas: tuple[Beta, Beta] = Field((0.9, 0.95), description="AdamW's betas, autoencoder.")
    weight_decay: float = Field(0.0, ge=0, description="AdamW's decay of weights with two or more dimensions.")
    disc_lr: float | None = Field(None, gt=0, description="Learning rate of the discriminator; without it lr.")
    disc_min_lr: float = Field(0.0, ge=0, description="The same at the end of its schedule.")
    disc_schedule: Literal["constant", "cosine", "linear"] = Field("constant", description="Its schedule.")
    disc_warmup_steps: int = Field(0, ge=0, description="Its warm-up, counted from its own first update.")
    disc_betas: tuple[Beta, Beta] = Field((0.5, 0.9), description="AdamW's betas, discriminator.")
    clip_grad: Clip = Field(
        1.0,
        description="Largest gradient norm of the autoencoder; auto: follows the norm and clips what stands out from the steps before by"
        " 2.5 standard deviations (ZClip); null: no clipping.",
    )
    disc_clip_grad: Clip = Field(1.0, description="The same for the discriminator.")
    accumulate: int = Field(1, ge=1, description="Batches whose gradients are averaged for one update.")
    ema_decay: float | None = Field(0.999, gt=0, lt=1, description="Decay of the averaged weights; null: no EMA.")
    ema_profile: Literal["exponential", "power"] = Field(
        "exponential",
        description="power: as wide, as a share of the run so far, at every step (ema_sigma_rel), in place of ema_decay (Karras 2024).",
    )
    ema_sigma_rel: float = Field(
        0.05,
        gt=0,
        lt=0.2886,
        description="Width of that average as a standard deviation, a share of the run so far: 0.05 to 0.1 are usual.",
    )
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="Type of the networks' arithmetic; weights and losses stay fp32."
    )
    compile: bool = Field(False, description="torch.compile for autoencoder, discriminator and perceptual network.")
    channels_last: bool = Field(False, description="Memory layout channels_last or channels_last_3d.")
    activation_checkpointing: bool = Field(False, description="Recompute activations: less memory, more time.")
    max_non_finite: int = Field(10, ge=1, description="Non-finite steps in a row (each is skipped) that stop the run.")


class RunConfig(Section):
    """How long it runs, what it writes and how it is watched."""

    steps: int = Field(200_000, ge=1, description="Generator updates in all.")
    batch_size: int = Field(4, ge=1, description="Samples of one batch in one process.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of weights, data order, crops and noise.")
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps.")
    log_every: int = Field(10, ge=1, description="Steps between two rows of metrics.jsonl.")
    validate_every: int = Field(1000, ge=1, description="Steps between validations on the held-out samples.")
    preview_samples: int = Field(4, ge=0, description="Held-out samples in a preview; 0: no previews.")
    checkpoint_every: int = Field(1000, ge=1, description="Steps between checkpoints.")
    keep_checkpoints: int = Field(
        2, ge=1, description="Newest checkpoints kept, besides the best and the last healthy."
    )
    diagnose_every: int = Field(100, ge=1, description="Steps between two diagnoses of the live run.")
    diagnose_budget: float = Field(
        0.01, gt=0, le=1, description="Share of the time that diagnoses may take; they become rarer beyond it."
    )
    on_critical: Literal["warn", "stop", "rollback"] = Field(
        "warn",
        description="What a diagnosis of stop, or of act twice in a row, does. rollback: back to the last checkpoint judged healthy, with the"
        " prescribed change.",
    )
    rollback_tries: int = Field(2, ge=1, description="Rollbacks before the run is stopped.")
    check_ranks_every: int = Field(100, ge=1, description="Steps between checks that all processes hold equal weights.")
    trackers: tuple[Literal["tensorboard", "wandb", "trackio", "mlflow"], ...] = Field(
        ("tensorboard",), description="Where rows also go, besides metrics.jsonl."
    )


class TrainConfig(Section):
    """All settings of one run, as config.yaml holds them."""

    name: str = Field("run", description="Name of the run.")
    description: str = Field("", description="What the preset is for, what it needs and what healthy looks like.")
    model: ModelConfig = Field(default_factory=ModelConfig)
    data: DataConfig = Field(default_factory=DataConfig)
    loss: LossConfig = Field(default_factory=LossConfig)
    optim: OptimConfig = Field(default_factory=OptimConfig)
    run: RunConfig = Field(default_factory=RunConfig)

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        loss, optim, data, steps = self.loss, self.optim, self.data, self.run.steps
        if loss.disc_warmup > loss.disc_start:
            raise ValueError(
                f"disc_warmup {loss.disc_warmup} is longer than the time before disc_start {loss.disc_start}: the"
                " discriminator would have to start before step 0"
            )
        if self.model.freeze_from and self.model.freeze == "none":
            raise ValueError(f"freeze_from {self.model.freeze_from} needs freeze=encoder: nothing would be frozen")
        if loss.alignment_weight and loss.alignment_network is None:
            raise ValueError(
                f"alignment_weight {loss.alignment_weight:g} needs alignment_network: a folder with the weights of DINOv2 as transformers"
                " saves it; nothing is downloaded"
            )
        if loss.alignment_weight and self.model.freeze == "encoder" and self.model.freeze_from == 0:
            raise ValueError(
                "alignment_weight shapes the latent, and freeze=encoder keeps it as it is: set one of them only"
            )
        if optim.ema_profile == "power" and optim.ema_decay is None:
            raise ValueError(
                "ema_decay is null, so there are no averaged weights: ema_profile=power needs it to be a number"
            )
        if optim.warmup_steps >= steps:
            raise ValueError(f"warmup_steps {optim.warmup_steps} does not end within the run's {steps} steps")
        if optim.min_lr > optim.lr:
            raise ValueError(f"min_lr {optim.min_lr:g} is above lr {optim.lr:g}: a schedule ends at min_lr")
        disc_lr, key = (optim.lr, "lr") if optim.disc_lr is None else (optim.disc_lr, "disc_lr")
        if optim.disc_min_lr > disc_lr:
            raise ValueError(
                f"disc_min_lr {optim.disc_min_lr:g} is above {key} {disc_lr:g}: a schedule ends at disc_min_lr"
            )
        if not loss.pixelloss_weight and not loss.perceptual_weight:
            raise ValueError(
                "pixelloss_weight and perceptual_weight are both 0: nothing would ask for a reconstruction; set one of them"
            )
        if loss.perceptual_frames is not None and loss.perceptual_frames > data.frames:
            raise ValueError(
                f"perceptual_frames {loss.perceptual_frames} is more than the {data.frames} frames of a clip"
            )
        if 0 < data.image_share < 0.0005 or 0.9995 < data.image_share < 1:
            raise ValueError(
                f"image_share {data.image_share:g} is used to three digits, which makes it {round(data.image_share)}"
            )
        return self

    @property
    def uses_gan(self) -> bool:
        """Whether the discriminator is ever trained within the run."""
        return self.loss.disc != "none" and self.loss.disc_start - self.loss.disc_warmup < self.run.steps

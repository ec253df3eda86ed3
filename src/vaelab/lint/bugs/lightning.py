"""taming-transformers, latent-diffusion, generative-models and its fork AutoencoderKL, VidTok."""

from __future__ import annotations

from vaelab.lint.bugs.types import Bug
from vaelab.lint.conditions import ACCUMULATES, BEFORE_START, EMA, FP16, GAN, given, is_set, open_question, says

TT = ("taming",)
LDM = ("ldm",)
SGM = ("sgm",)
VT = ("vidtok",)
VIDEO = "data.params.train.params.video_params."
_VQ_LDM = says(
    "the model is a VQ model of latent-diffusion",
    lambda plan: str(plan.options.get("model.target", "")).startswith("ldm."),
)
_DISC_OFF = says(
    "disc_start_iter is not disc_start",
    lambda plan: (plan.options.number("model.params.disc_start_iter", 0) or 0) < (plan.gan.start or 0),
)
_MONITOR = is_set("model.params.monitor", "val/rec_loss")
_LOW_RATE = says(
    "sample_fps is above twice the videos' rate",
    lambda plan: None if (plan.options.number(f"{VIDEO}sample_fps", 3) or 0) > 20 else False,
)
_LECAM = says(
    "LeCam is on", lambda plan: bool(plan.options.number("model.params.loss_config.params.lecam_loss_weight", 0))
)

BUGS = (
    Bug(
        "TT-3",
        TT,
        "info",
        "VectorQuantizer2 multiplies the codebook term by beta, not the commitment term (legacy=True, kept for compatibility)",
        "taming/modules/vqvae/quantize.py:218-221",
        "pass legacy=False for the paper's loss",
    ),
    Bug(
        "LDM-1",
        ("ldm", "taming"),
        "critical",
        "the VQ loss uses the name exists, which is not imported",
        "ldm/modules/losses/vqperceptual.py:100",
        "import it, or use taming's VQLPIPSWithDiscriminator",
        is_set("model.params.lossconfig.target", "ldm.modules.losses.vqperceptual.VQLPIPSWithDiscriminator"),
        ("model.params.lossconfig.target",),
    ),
    Bug(
        "LDM-2",
        ("taming", "ldm"),
        "critical",
        "VQModel uses LitEma, np, version and LambdaLR without importing them: EMA, batch_resize_range, the scheduler and, from Lightning 1.4 on, validation fail",
        "ldm/models/autoencoder.py:1-11,55,136,191,222",
        "add the four imports",
        _VQ_LDM
        & given(
            "model.params.n_embed",
            "model.params.use_ema",
            "model.params.batch_resize_range",
            "model.params.scheduler_config",
        ),
        ("model.target",),
    ),
    Bug(
        "LDM-3",
        LDM,
        "warn",
        "disc_start counts optimizer steps: with accumulation it is accumulate_grad_batches times as many batches, and from Lightning 1.6 on half of it",
        "ldm/modules/losses/contperceptual.py:75-90",
        "give disc_start in optimizer steps",
        ACCUMULATES,
        ("lightning.trainer.accumulate_grad_batches",),
        (),
        "LNT104",
    ),
    Bug(
        "LDM-4",
        ("ldm", "taming"),
        "info",
        "the rate is base_learning_rate x batch x GPUs x accumulation: it changes with the machine",
        "main.py (scale_lr)",
        "write down the product, or start with --scale_lr False",
        given("model.base_learning_rate"),
        ("model.base_learning_rate",),
    ),
    Bug(
        "LDM-5",
        LDM,
        "info",
        "every data set is built three times at the start",
        "main.py prepare_data and setup",
        "expect a slow start with large folders",
    ),
    Bug(
        "SGM-1",
        SGM,
        "critical",
        "the EMA is built before encoder and decoder exist: the first batch ends with KeyError",
        "sgm/models/autoencoder.py:42-43,132-133",
        "remove ema_decay",
        EMA,
        ("model.params.ema_decay",),
        ("remove model.params.ema_decay",),
    ),
    Bug(
        "SGM-2",
        SGM,
        "warn",
        "each batch trains one network; before disc_start the discriminator's batches, half of all, are thrown away unless disc_start_iter has the same value",
        "sgm/models/autoencoder.py:286; sgm/modules/autoencoding/losses/discriminator_loss.py:277-283",
        "set disc_start_iter to the value of disc_start",
        GAN & BEFORE_START & _DISC_OFF,
        ("model.params.loss_config.params.disc_start",),
    ),
    Bug(
        "SGM-3",
        SGM,
        "critical",
        "monitor is val/rec_loss, the code logs val/loss/rec: the first checkpoint ends the run",
        "configs/example_training/autoencoder/kl-f4/imagenet-attnfree-logvar.yaml; sgm/models/autoencoder.py:336",
        "monitor: val/loss/rec",
        _MONITOR,
        ("model.params.monitor",),
        ("model.params.monitor: val/loss/rec",),
    ),
    Bug(
        "SGM-4",
        SGM,
        "critical",
        "manual optimisation: Lightning 2 refuses accumulate_grad_batches above 1 and gradient_clip_val",
        "sgm/models/autoencoder.py:286-309",
        "remove them",
        ACCUMULATES | given("lightning.trainer.gradient_clip_val"),
        ("lightning.trainer.gradient_clip_val", "lightning.trainer.accumulate_grad_batches"),
        (),
        "LNT403",
    ),
    Bug(
        "SGM-5",
        SGM,
        "info",
        "data come from a separate package (sdata), and main.py asks the address of a cloud provider, without a timeout, on RuntimeError",
        "main.py:918",
        "install sdata, and expect a hang where there is no network",
    ),
    Bug(
        "SGM-6",
        SGM,
        "info",
        "validation uses d_weight 1: val/loss/total does not compare with train/loss/total",
        "sgm/modules/autoencoding/losses/discriminator_loss.py:250",
        "compare loss/rec",
        GAN,
    ),
    Bug(
        "AKL-1",
        SGM,
        "critical",
        "(fork lavinal712/AutoencoderKL) the scheduler is returned but never stepped under manual optimisation: the rate stays at its first value, 0 with a warm-up",
        "sgm/models/autoencoder.py configure_optimizers",
        "remove scheduler_config",
        given("model.params.scheduler_config.target", "model.params.scheduler_config"),
        ("model.params.scheduler_config.target",),
    ),
    Bug(
        "VT-1",
        VT,
        "warn",
        "disc_start is compared with a counter of half steps: 20001 means batch 10,001, and the discriminator starts one batch before the generator sees it; every_n_train_steps 5000 saves every 2,500 batches",
        "vidtok/models/autoencoder.py:199,246-273",
        "double disc_start",
        GAN & BEFORE_START,
        ("model.params.loss_config.params.disc_start",),
        (),
        "LNT104",
    ),
    Bug(
        "VT-2",
        VT,
        "warn",
        "a video that cannot be read becomes a black clip, which is trained on",
        "vidtok/data/vidtok.py:107-114",
        "check all videos first, for example with ffprobe",
        open_question("a video cannot be decoded"),
    ),
    Bug(
        "VT-3",
        VT,
        "warn",
        "LeCam's means are not in checkpoints, differ between GPUs, and are moved by validation and by batches before disc_start",
        "vidtok/modules/losses.py:61-70,244-246",
        "set lecam_loss_weight to 0 where runs are resumed",
        _LECAM,
        ("model.params.loss_config.params.lecam_loss_weight",),
    ),
    Bug(
        "VT-4",
        VT,
        "info",
        "the frame step round(video_fps / sample_fps) can be 0: a clip of one frame, repeated",
        "vidtok/data/vidtok.py",
        "choose sample_fps below the videos' rate",
        _LOW_RATE,
        (f"{VIDEO}sample_fps",),
    ),
    Bug(
        "VT-5",
        VT,
        "critical",
        "under fp16 the scaled gradients are clipped: Lightning does not unscale them in manual optimisation",
        "vidtok/models/autoencoder.py:255-260,276-277",
        "precision: bf16-mixed",
        FP16,
        ("lightning.trainer.precision",),
        ("lightning.trainer.precision: bf16-mixed",),
    ),
    Bug(
        "VT-6",
        VT,
        "info",
        "the KL is a sum over the clip, nll over a frame: with twice the frames the KL weighs twice; the EMA averages the discriminator too",
        "vidtok/modules/losses.py:173-214; vidtok/modules/regularizers.py:89-91",
        "scale kl_loss when the number of frames changes",
        says("the model has a KL", lambda plan: bool(plan.loss.kl_weight)),
        (f"{VIDEO}sample_num_frames",),
    ),
    Bug(
        "VT-7",
        VT,
        "info",
        "a new run resumes from the newest checkpoint of any run whose name begins the same",
        "main.py (checkpoint_auto_resume)",
        "--checkpoint_auto_resume False, or a new name",
        open_question("an older run has the same name"),
    ),
)

"""Known faults of generative-models, and of its fork AutoencoderKL."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import ACCUMULATES, BEFORE_START, EMA, GAN, given, is_set, says
from vaelab.dialects.shared_faults import LIGHTNING_TRAINS, RATIO

SGM = ("sgm",)
_DISC_OFF = says(
    "disc_start_iter is not disc_start",
    lambda plan: (plan.options.number("model.params.disc_start_iter", 0) or 0) < (plan.gan.start or 0),
)
_MONITOR = is_set("model.params.monitor", "val/rec_loss")

BUGS = (
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
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "sgm": {
        "PF-6": LIGHTNING_TRAINS,
        "LPIPS-NaN": "sgm/modules/autoencoding/lpips/loss/lpips.py, normalize_tensor",
        "TT-4": RATIO,
    },
}

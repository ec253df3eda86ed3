"""Known faults of VidTok."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import BEFORE_START, FP16, GAN, open_question, says
from vaelab.dialects.shared_faults import LIGHTNING_TRAINS, RATIO

VT = ("vidtok",)
VIDEO = "data.params.train.params.video_params."
_LOW_RATE = says(
    "sample_fps is above twice the videos' rate",
    lambda plan: None if (plan.options.number(f"{VIDEO}sample_fps", 3) or 0) > 20 else False,
)
_LECAM = says(
    "LeCam is on", lambda plan: bool(plan.options.number("model.params.loss_config.params.lecam_loss_weight", 0))
)

BUGS = (
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

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "vidtok": {
        "PF-6": LIGHTNING_TRAINS,
        "LPIPS-NaN": "vidtok/modules/lpips.py, normalize_tensor",
        "TT-2": "adopt_weight of the loss",
        "TT-4": RATIO,
    },
}

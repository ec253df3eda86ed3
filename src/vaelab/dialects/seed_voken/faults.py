"""Known faults of SEED-Voken."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import FP16, PERCEPTUAL, given, is_set, says
from vaelab.dialects.shared_faults import LIGHTNING_TRAINS

SV = ("seed_voken",)
SV_LOSS = "model.init_args.lossconfig.params."
_WARMUP_SV = says(
    "scheduler_type is a warm-up", lambda plan: "warmup" in str(plan.options.get("model.init_args.scheduler_type", ""))
)
_LFQ = says(
    "the model is of Open-MAGVIT2", lambda plan: "Open_MAGVIT2" in str(plan.options.get("model.class_path", ""))
)
_VIDEO_SV = says(
    "the model is a video model", lambda plan: "video" in str(plan.options.get("model.class_path", "")).lower()
)
_NULL_LECAM = says(
    "lecam_loss_weight is null",
    lambda plan: f"{SV_LOSS}lecam_loss_weight" in plan.options and plan.options[f"{SV_LOSS}lecam_loss_weight"] is None,
)

BUGS = (
    Bug(
        "SV-1",
        SV,
        "critical",
        "the schedulers are never stepped: with a warm-up the rate is 0 for ever",
        "src/Open_MAGVIT2/models/lfqgan.py:192,200",
        'scheduler_type: "None"',
        _WARMUP_SV & _LFQ,
        ("model.init_args.scheduler_type",),
        ('model.init_args.scheduler_type: "None"',),
    ),
    Bug(
        "SV-2",
        SV,
        "critical",
        "lecam_loss_weight null with disc_factor 0 leaves lecam_loss undefined",
        "src/Open_MAGVIT2/modules/losses/vqperceptual.py:260,268",
        "lecam_loss_weight: 0.05",
        _NULL_LECAM & is_set(f"{SV_LOSS}disc_factor", 0, 0.0),
        (f"{SV_LOSS}lecam_loss_weight",),
    ),
    Bug(
        "SV-3",
        SV,
        "info",
        "LPIPS runs again in the discriminator's pass",
        "src/Open_MAGVIT2/modules/losses/vqperceptual.py:156-164",
        "expect slower steps",
        PERCEPTUAL,
    ),
    Bug(
        "SV-4",
        SV,
        "critical",
        "max_iter of a video model ends with UnboundLocalError",
        "src/Open_MAGVIT2/models/video_lfqgan.py:298",
        "remove max_iter",
        _VIDEO_SV & given("model.init_args.max_iter"),
        ("model.init_args.max_iter",),
    ),
    Bug(
        "SV-5",
        SV,
        "critical",
        "disc_loss non_saturate of a video model ends with AttributeError",
        "src/Open_MAGVIT2/modules/losses/video_vqperceptual.py:129",
        "disc_loss: hinge",
        _VIDEO_SV & is_set(f"{SV_LOSS}disc_loss", "non_saturate"),
        (f"{SV_LOSS}disc_loss",),
    ),
    Bug(
        "SV-6",
        SV,
        "info",
        "cudnn runs deterministic and without benchmark",
        "main.py:13-14",
        "remove the two lines for speed",
    ),
    Bug(
        "SV-7",
        SV,
        "warn",
        "fp16 without clipping and without a guard against NaN",
        "src/Open_MAGVIT2/models/lfqgan.py",
        "precision: bf16-mixed",
        FP16 & _LFQ,
        ("trainer.precision",),
        ("trainer.precision: bf16-mixed",),
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "seed_voken": {"PF-6": LIGHTNING_TRAINS, "LPIPS-NaN": "src/Open_MAGVIT2/modules/losses/lpips.py, normalize_tensor"},
}

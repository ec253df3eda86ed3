"""Known faults of latent-diffusion."""

from __future__ import annotations

from vaelab.dialects.bug import Bug
from vaelab.dialects.conditions import ACCUMULATES, given, is_set, says
from vaelab.dialects.shared_faults import COPY_OF_TAMING, LIGHTNING_TRAINS, RATIO

LDM = ("ldm",)
_VQ_LDM = says(
    "the model is a VQ model of latent-diffusion",
    lambda plan: str(plan.options.get("model.target", "")).startswith("ldm."),
)

BUGS = (
    Bug(
        "LDM-1",
        LDM,
        "critical",
        "the VQ loss uses the name exists, which is not imported",
        "ldm/modules/losses/vqperceptual.py:100",
        "import it, or use taming's VQLPIPSWithDiscriminator",
        is_set("model.params.lossconfig.target", "ldm.modules.losses.vqperceptual.VQLPIPSWithDiscriminator"),
        ("model.params.lossconfig.target",),
    ),
    Bug(
        "LDM-2",
        LDM,
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
        ("model.params.lossconfig.params.disc_start", "lightning.trainer.accumulate_grad_batches"),
        (),
        "LNT104",
    ),
    Bug(
        "LDM-5",
        LDM,
        "info",
        "every data set is built three times at the start",
        "main.py prepare_data and setup",
        "expect a slow start with large folders",
    ),
)

# code of a fault that many trainers share -> where it is in this one
COPIES: dict[str, dict[str, str]] = {
    "ldm": {
        "PF-6": LIGHTNING_TRAINS,
        "LPIPS-NaN": COPY_OF_TAMING,
        "TT-1": "training_step, once for each optimizer",
        "TT-2": "adopt_weight of the loss",
        "TT-4": RATIO,
        "LDM-4": "main.py (scale_lr)",
    },
}

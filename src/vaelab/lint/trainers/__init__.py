"""The trainers whose settings are understood: a module each, with ``matches(text, parsed)`` and ``plans(text, parsed, path)``.

parsed: the YAML of the text, None for a script or a Python file.
"""

from __future__ import annotations

from vaelab.lint.trainers import lightning, open_sora, others, pyramid_flow, radiodiff, scripts
from vaelab.lint.trainers.shared import Dialect

DIALECTS: tuple[Dialect, ...] = (pyramid_flow, scripts, open_sora, others, radiodiff, lightning)

TITLES: dict[str, str] = {
    pyramid_flow.ID: pyramid_flow.TITLE,
    radiodiff.ID: radiodiff.TITLE,
    **lightning.TITLES,
    **scripts.TITLES,
    open_sora.ID: open_sora.TITLE,
    **others.TITLES,
}

# where the trainers' lines were read
SOURCES: dict[str, str] = {
    "pyramid_flow": "jy0205/Pyramid-Flow at 3040d71",
    "radiodiff": "UNIC-Lab/RadioDiff at 14c4a8c",
    "ldm": "CompVis/latent-diffusion at a506df5",
    "taming": "CompVis/taming-transformers at 3ba01b2",
    "sgm": "Stability-AI/generative-models at 0ad7de9",
    "vidtok": "microsoft/VidTok at d6ad92d",
    "wf_vae": "PKU-YuanGroup/WF-VAE at d858bee",
    "open_sora_plan": "PKU-YuanGroup/Open-Sora-Plan at f7fa604f",
    "open_sora": "hpcaitech/Open-Sora at 7ad6a96",
    "seed_voken": "TencentARC/SEED-Voken at b9a17ea",
    "diffusers": "huggingface/diffusers at 58eb52c080",
    "diffusers_vq": "huggingface/diffusers at 58eb52c080",
    "magvit2": "lucidrains/magvit2-pytorch at a00519f",
    "vqgan_training": "cloneofsimo/vqgan-training at 379fe36",
}

"""explainingai-code/StableDiffusion-PyTorch f562b15, tools/train_vqvae.py, its own text on CPU: VQ-VAE, LPIPS, least-squares GAN; one line an epoch."""

import pathlib
import sys
import time
import types

import common
import torch
import yaml

SETTINGS = {0: dict(lr=1e-3, batch=8), 1: dict(lr=1.5e-3, batch=6), 2: dict(lr=8e-4, batch=8)}
FAULTS = {  # onset in epochs; the GAN starts at epoch START
    "lr_high": (0, ["E1", "C12"]),
    "gan_high": (0, ["D6", "D4", "E6"]),
    "collapse": (0, ["C12", "E6"]),
    "nan": (14, ["A2", "F3", "F4"]),
    "black": (18, ["A4", "A5"]),
    "lpips_high": (0, ["B4"]),
    "no_step": (0, ["E2", "H4", "G3", "D10"]),
}
PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("lr_high", 0),
    ("gan_high", 1),
    ("collapse", 2),
    ("nan", 0),
    ("black", 1),
    ("no_step", 2),
]
EPOCHS, PER_EPOCH, START = 26, 6, 10


def warm():
    common.torchvision_shim()
    import torchvision  # noqa: F401


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    common.torchvision_shim()
    import torchvision

    s = common.settings(SETTINGS, seed)
    onset = common.onset(FAULTS, fault, seed, EPOCHS)
    data, val = common.images(PER_EPOCH * s["batch"], 16, 3, seed), common.images(64, 16, 3, 900 + seed)
    spoil = fault if fault in ("nan", "black") else None
    root = common.SRC / "explainingai"
    sys.path.insert(0, str(root))

    class Pictures(common.Stream):
        def __init__(self, **_):
            super().__init__(data * 2 - 1, spoil, onset * len(data))

    for module, name in (("mnist_dataset", "MnistDataset"), ("celeb_dataset", "CelebDataset")):
        fake = types.ModuleType(f"dataset.{module}")
        setattr(fake, name, Pictures)
        sys.modules[f"dataset.{module}"] = fake
    torchvision.models.vgg16 = common.vgg16
    config = {
        "dataset_params": {"im_path": "data/celebhq", "im_channels": 3, "im_size": 16, "name": "celebhq"},
        "autoencoder_params": {
            "z_channels": 4,
            "codebook_size": 64,
            "down_channels": [16, 32],
            "mid_channels": [32, 32],
            "down_sample": [True],
            "attn_down": [False],
            "norm_channels": 8,
            "num_heads": 2,
            "num_down_layers": 1,
            "num_mid_layers": 1,
            "num_up_layers": 1,
        },
        "train_params": {
            "seed": seed,
            "task_name": "results",
            "autoencoder_batch_size": s["batch"],
            "disc_start": START * PER_EPOCH,
            "disc_weight": common.severity(0.1, 100, seed) if fault == "gan_high" else 0.1,
            "codebook_weight": 0.0 if fault == "collapse" else 1,
            "commitment_beta": common.severity(0.2, 200.0, seed) if fault == "collapse" else 0.2,
            "perceptual_weight": common.severity(1, 100, seed) if fault == "lpips_high" else 1,
            "autoencoder_epochs": EPOCHS,
            "autoencoder_lr": s["lr"] * common.severity(1, {"lr_high": 100}.get(fault, 1), seed),
            "autoencoder_acc_steps": 1,
            "autoencoder_img_save_steps": 10**6,
            "vqvae_autoencoder_ckpt_name": "vqvae.pth",
            "vqvae_discriminator_ckpt_name": "disc.pth",
        },
    }
    (out / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    changes = [
        ("if step_count % image_save_steps == 0 or step_count == 1:", "if False:"),
        ("lpips_model = LPIPS()", "_seen[:] = [model]; lpips_model = LPIPS()"),
        ("import yaml\n", "import yaml\n_seen = []\n"),
        (
            "Discriminator(im_channels=dataset_config['im_channels'])",
            "Discriminator(im_channels=dataset_config['im_channels'], conv_channels=[16, 32, 32])",
        ),
    ]
    if fault == "no_step":  # the optimizer was built from another model's parameters
        changes.append(
            (
                "optimizer_g = Adam(model.parameters()",
                "optimizer_g = Adam(VQVAE(im_channels=3, model_config=autoencoder_config).parameters()",
            )
        )
    text = common.patched(root / "tools" / "train_vqvae.py", *changes)
    weights = root / "models" / "weights" / "v0.1"
    weights.mkdir(parents=True, exist_ok=True)
    if not (weights / "vgg.pth").exists():
        torch.save(common.lpips_heads(), weights / "vgg.pth")
    ns: dict = {"__name__": "train_vqvae"}
    with common.console(out):
        exec(compile(text, "train_vqvae.py", "exec"), ns)
        ns["train"](types.SimpleNamespace(config_path=str(out / "config.yaml")))
    model = ns["_seen"][0].eval()

    def recon(b):
        return (model(b * 2 - 1)[0] + 1) / 2

    common.finish(out, fault, seed, "train.log", recon, val, START if fault == "gan_high" else onset, EPOCHS, t0, s)

"""MONAI tutorials, generation/2d_ldm/train_autoencoder.py, its own text run on CPU: AutoencoderKL, PatchDiscriminator; TensorBoard and console.

The BraTS loader is replaced by numpy images in [-1, 1]; the downloaded squeezenet of PerceptualLoss by VGG16's first layers.
"""

import json
import pathlib
import sys
import time
import types

import common
import numpy as np
import torch

SETTINGS = {0: dict(lr=1e-3, batch=8), 1: dict(lr=5e-4, batch=6), 2: dict(lr=7e-4, batch=8)}
FAULTS = {  # onset in steps; the GAN starts at epoch 6
    "lr_high": (0, ["E1", "F4", "C3"]),
    "kl_high": (0, ["C1", "C2"]),
    "gan_high": (0, ["D6", "D4", "E6", "D7"]),
    "nan": (150, ["A2", "F4", "F3"]),
    "black": (200, ["A4", "A5"]),
    "scale255": (0, ["A1"]),
    "disc_lr_high": (0, ["D4", "E1", "D6", "D14"]),
    "enc_frozen": (0, ["E2", "G3", "C1"]),
    "disc_frozen": (0, ["D3", "D10", "D18"]),
}
EPOCHS, PER_EPOCH = 22, 16

PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("kl_high", 0),
    ("gan_high", 1),
    ("nan", 2),
    ("black", 0),
    ("disc_lr_high", 1),
    ("enc_frozen", 2),
    ("lr_high", 1),
]


def warm():
    common.torchvision_shim()
    import monai.bundle
    import monai.losses
    import monai.networks.nets  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    common.seed_all(seed)
    s = common.settings(SETTINGS, seed)
    onset = common.onset(FAULTS, fault, seed, EPOCHS * PER_EPOCH)
    data, val = common.images(PER_EPOCH * s["batch"], 16, 1, seed), common.images(64, 16, 1, 900 + seed)
    spoil = fault if fault in ("nan", "black") else None
    start, k = (
        (6 * PER_EPOCH if fault in ("gan_high", "disc_lr_high", "disc_frozen") else onset),
        255 if fault == "scale255" else 1,
    )
    common.torchvision_shim()

    utils = types.ModuleType("utils")
    from monai.bundle import ConfigParser

    def define_instance(args, name):
        parser = ConfigParser(vars(args))
        parser.parse(True)
        return parser.get_parsed_content(name, instantiate=True)

    def kl_loss(z_mu, z_sigma):  # as in the tutorial's utils.py
        kl = 0.5 * torch.sum(
            z_mu.pow(2) + z_sigma.pow(2) - torch.log(z_sigma.pow(2)) - 1, dim=list(range(1, z_sigma.ndim))
        )
        return torch.sum(kl) / kl.shape[0]

    def loaders(*_, **__):
        def wrap(x):
            return {"image": x * k}

        make = torch.utils.data.DataLoader
        train = common.Stream(data * 2 - 1, spoil, onset * s["batch"], wrap)
        return make(train, s["batch"], shuffle=True), make(common.Stream(val * 2 - 1, None, 0, wrap), 64)

    utils.KL_loss, utils.define_instance, utils.prepare_brats2d_dataloader, utils.setup_ddp = (
        kl_loss,
        define_instance,
        loaders,
        None,
    )
    visual = types.ModuleType("visualize_image")
    visual.visualize_2d_image = lambda im: np.stack([np.asarray(im)] * 3, -1)
    sys.modules.update(utils=utils, visualize_image=visual)

    class Perceptual(torch.nn.Module):
        def __init__(self, **_):
            super().__init__()
            self.net = common.vgg_features(9)

        def forward(self, a, b):
            a, b = (self.net(x.expand(-1, 3, -1, -1)) for x in (a, b))
            norm = [x / (x.pow(2).sum(1, keepdim=True).sqrt() + 1e-8) for x in (a, b)]
            return (norm[0] - norm[1]).pow(2).sum(1).mean()

    import monai.losses

    monai.losses.PerceptualLoss = Perceptual
    lr_d = {"disc_lr_high": "3e-1", "disc_frozen": "0.0"}.get(fault, 'args.autoencoder_train["lr"]')
    params = "list(autoencoder.decoder.parameters())" if fault == "enc_frozen" else "autoencoder.parameters()"
    text = common.patched(
        common.SRC / "monai" / "train_autoencoder.py",
        ("device = 0\n", 'device = torch.device("cpu")\n'),
        ("torch.cuda.set_device(device)", ""),
        ("torch.set_num_threads(4)", ""),
        ("torch.autograd.set_detect_anomaly(True)", ""),
        ("num_layers_d=3", "num_layers_d=1"),
        ("set_determinism(42)", f"set_determinism({seed})"),
        (
            'optimizer_d = torch.optim.Adam(params=discriminator.parameters(), lr=args.autoencoder_train["lr"] * world_size)',
            f"optimizer_d = torch.optim.Adam(params=discriminator.parameters(), lr={lr_d})",
        ),
        (
            "optimizer_g = torch.optim.Adam(params=autoencoder.parameters()",
            f"optimizer_g = torch.optim.Adam(params={params}",
        ),
        ("adv_weight = 0.5", f"adv_weight = {50 if fault == 'gan_high' else 0.5}"),
        ("import argparse\n", "import argparse\n_seen = []\n"),
        ('print(f"Using {device}")', 'print(f"Using {device}")\n    _seen.append(locals)'),
        ("    # Step 3: training config", "    _seen[:] = [autoencoder]\n    # Step 3: training config"),
    )
    lr = s["lr"] * common.severity(1, {"lr_high": 60}.get(fault, 1), seed)
    kl = common.severity(1e-6, 3.0, seed) if fault == "kl_high" else 1e-6
    config = {
        "channel": 0,
        "spatial_dims": 2,
        "image_channels": 1,
        "latent_channels": 3,
        "sample_axis": 2,
        "autoencoder_def": {
            "_target_": "monai.networks.nets.AutoencoderKL",
            "spatial_dims": "@spatial_dims",
            "in_channels": "$@image_channels",
            "out_channels": "@image_channels",
            "latent_channels": "@latent_channels",
            "channels": [16, 32],
            "num_res_blocks": 1,
            "norm_num_groups": 8,
            "norm_eps": 1e-06,
            "attention_levels": [False, False],
            "with_encoder_nonlocal_attn": False,
            "with_decoder_nonlocal_attn": False,
        },
        "autoencoder_train": {
            "batch_size": s["batch"],
            "patch_size": [16, 16],
            "lr": lr,
            "perceptual_weight": 0.3,
            "kl_weight": kl,
            "recon_loss": "l1",
            "max_epochs": EPOCHS,
            "val_interval": 1,
        },
    }
    (out / "config_train.json").write_text(json.dumps(config, indent=4))
    env = {"model_dir": str(out / "ckpt"), "tfevent_path": str(out / "tfevent"), "resume_ckpt": False}
    (out / "ckpt").mkdir()
    (out / "ckpt" / "environment.json").write_text(json.dumps(env))
    ns: dict = {"__name__": "train_autoencoder"}
    argv, sys.argv = (
        sys.argv,
        ["train_autoencoder.py", "-e", str(out / "ckpt" / "environment.json"), "-c", str(out / "config_train.json")],
    )
    with common.console(out):
        exec(compile(text, "train_autoencoder.py", "exec"), ns)
        ns["main"]()
    sys.argv = argv
    model = ns["_seen"][0].eval()

    def recon(b):
        return (model((b * 2 - 1) * k)[0] / k + 1) / 2

    common.finish(
        out, fault, seed, "tfevent", recon, val, start, EPOCHS * PER_EPOCH, t0, {**s, "lr": lr, "kl_weight": kl}
    )

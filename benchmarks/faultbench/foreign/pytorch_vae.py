"""AntixK/PyTorch-VAE a6896b9: experiment.py and models/vanilla_vae.py, driven by Lightning 2 with its CSV (seeds 0, 2) or TensorBoard logger."""

import pathlib
import sys
import time
import types

import common
import torch

SETTINGS = {
    0: dict(LR=0.003, batch=16, latent=32),
    1: dict(LR=0.002, batch=16, latent=16),
    2: dict(LR=0.004, batch=24, latent=64),
}
FAULTS = {  # onset in steps
    "kl_high": (0, ["C1", "C2"]),
    "lr_high": (0, ["E1", "F4"]),
    "tiny": (0, ["A7"]),
    "scale255": (0, ["A1"]),
    "decay": (0, ["E13", "E8", "E2"]),
    "nan": (140, ["A2", "F4", "F6"]),
    "black": (210, ["A4", "A5"]),
    "lr_zero": (0, ["E2", "H4"]),
}
EPOCHS, PER_EPOCH = 20, 18

PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("kl_high", 0),
    ("lr_high", 1),
    ("tiny", 2),
    ("scale255", 0),
    ("decay", 1),
    ("nan", 2),
    ("black", 0),
    ("lr_zero", 1),
]


def warm():
    common.torchvision_shim()
    import pytorch_lightning  # noqa: F401


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    common.torchvision_shim()
    import pytorch_lightning as pl
    from pytorch_lightning.callbacks import LearningRateMonitor
    from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger

    sys.path.insert(0, str(common.SRC / "antixk"))
    models = types.ModuleType("models")  # the package's __init__ imports all twenty models; two files are enough
    models.__path__ = [str(common.SRC / "antixk" / "models")]
    sys.modules["models"] = models
    from models.base import BaseVAE

    models.BaseVAE = BaseVAE
    from models.vanilla_vae import VanillaVAE

    text = common.patched(  # Lightning 2 takes the argument optimizer_idx for a sign of several optimizers
        common.SRC / "antixk" / "experiment.py",
        ("batch_idx, optimizer_idx = 0)", "batch_idx)"),
        ("optimizer_idx=optimizer_idx", "optimizer_idx=0"),
        ("optimizer_idx = optimizer_idx", "optimizer_idx = 0"),
        ("from utils import data_loader\n", ""),
    )
    public: dict = {"__name__": "experiment"}
    exec(compile(text, "experiment.py", "exec"), public)
    s = common.settings(SETTINGS, seed)
    pl.seed_everything(seed)
    onset = common.onset(FAULTS, fault, seed, EPOCHS * PER_EPOCH)
    n, size = PER_EPOCH * s["batch"], 32
    val = common.images(128, size, 3, 900 + seed, simple=True)
    data = (
        common.images(16, size, 3, seed, simple=True).repeat(n // 16, 0)
        if fault == "tiny"
        else common.images(n, size, 3, seed, simple=True)
    )
    k = 255 if fault == "scale255" else 1
    train = common.Stream(
        data, fault if fault in ("nan", "black") else None, onset * s["batch"], lambda x: (x * k, 0.0)
    )
    held = common.Stream(val, None, 0, lambda x: (x * k, 0.0))

    class Data(pl.LightningDataModule):
        def train_dataloader(self):
            return torch.utils.data.DataLoader(train, s["batch"], shuffle=True)

        def val_dataloader(self):
            return torch.utils.data.DataLoader(held, 64)

        def test_dataloader(self):
            return torch.utils.data.DataLoader(held, 16)

    params = {
        "LR": s["LR"] * common.severity(1, {"lr_high": 60, "lr_zero": 1e-5}.get(fault, 1), seed),
        "weight_decay": 0.0,
        "scheduler_gamma": common.severity(0.95, 0.3, seed) if fault == "decay" else 0.95,
        "kld_weight": common.severity(0.00002, 0.05, seed) if fault == "kl_high" else 0.00002,
        "manual_seed": seed,
    }
    logger = TensorBoardLogger(str(out), name="VanillaVAE") if seed == 1 else CSVLogger(str(out), name="VanillaVAE")
    model = VanillaVAE(in_channels=3, latent_dim=s["latent"], hidden_dims=[16, 32, 64, 512])
    experiment = public["VAEXperiment"](model, params)
    experiment.sample_images = lambda: None
    with common.console(out):
        runner = pl.Trainer(
            logger=logger,
            callbacks=[LearningRateMonitor()],
            max_epochs=EPOCHS,
            log_every_n_steps=5,
            accelerator="cpu",
            devices=1,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
        )
        runner.fit(experiment, datamodule=Data())

    def recon(b):
        model.eval()
        return model.generate(b * k) / k

    common.finish(out, fault, seed, "VanillaVAE/version_0", recon, val, onset, EPOCHS * PER_EPOCH, t0, {**s, **params})

"""pythae 0.1.2: BaseTrainer with BetaVAE (MLP nets), its console: tqdm bars and one train and eval loss per epoch, 4 decimals."""

import pathlib
import time

import common
import numpy as np

SETTINGS = {0: dict(lr=1e-3, batch=32), 1: dict(lr=4e-4, batch=16), 2: dict(lr=1.5e-3, batch=64)}
FAULTS = {  # onset in epochs
    "lr_high": (0, ["E1", "F4"]),
    "kl_high": (0, ["C1", "C2"]),
    "tiny": (0, ["A7"]),
    "nan": (12, ["A2", "F4", "F6"]),
    "scale255": (0, ["A1"]),
    "black": (30, ["A4", "A5"]),
    "lr_zero": (0, ["E2", "H4"]),
}
EPOCHS = 50

PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("lr_high", 0),
    ("kl_high", 1),
    ("tiny", 2),
    ("nan", 0),
    ("scale255", 1),
    ("black", 2),
    ("lr_zero", 0),
]


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    common.seed_all(seed)
    s = common.settings(SETTINGS, seed)
    val = common.images(128, 16, 3, 900 + seed, simple=True)
    data = (
        np.repeat(common.images(12, 16, 3, seed, simple=True), 40, 0)
        if fault == "tiny"
        else common.images(512, 16, 3, seed, simple=True)
    )
    onset = common.onset(FAULTS, fault, seed, EPOCHS)
    lr = s["lr"] * common.severity(1, {"lr_high": 30, "lr_zero": 1e-4}.get(fault, 1), seed)
    with common.console(out):
        from pythae.data.datasets import DatasetOutput
        from pythae.models import BetaVAE, BetaVAEConfig
        from pythae.trainers import BaseTrainer, BaseTrainerConfig

        def wrap(x):
            return DatasetOutput(data=x)

        train = common.Stream(data, fault if fault in ("nan", "scale255", "black") else None, onset * len(data), wrap)
        held = common.Stream(val, "scale255" if fault == "scale255" else None, 0, wrap)
        beta = common.severity(0.05, 20.0, seed) if fault == "kl_high" else 0.05
        model = BetaVAE(BetaVAEConfig(input_dim=(3, 16, 16), latent_dim=32, beta=beta, reconstruction_loss="mse"))
        config = BaseTrainerConfig(
            output_dir=str(out / "ckpt"),
            num_epochs=EPOCHS,
            learning_rate=lr,
            per_device_train_batch_size=s["batch"],
            per_device_eval_batch_size=64,
            optimizer_cls="Adam",
            seed=seed,
            no_cuda=True,
            train_dataloader_num_workers=0,
            eval_dataloader_num_workers=0,
        )
        trainer = BaseTrainer(model=model, train_dataset=train, eval_dataset=held, training_config=config)
        trainer.train()
    k = 255 if fault == "scale255" else 1

    def recon(b):
        model.eval()
        return model({"data": b * k}).recon_x.reshape(b.shape) / k

    common.finish(out, fault, seed, "train.log", recon, val, onset, EPOCHS, t0, {"lr": lr, **s})

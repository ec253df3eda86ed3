"""pythae 0.1.2: AdversarialTrainer with FactorVAE (MLP nets), its W&B callback offline: autoencoder and discriminator losses an epoch."""

import pathlib
import time

import common
import numpy as np

SETTINGS = {0: dict(lr=1e-3, batch=32), 1: dict(lr=6e-4, batch=16), 2: dict(lr=1e-3, batch=24)}
FAULTS = {  # onset in epochs
    "lr_high": (0, ["E1", "F4"]),
    "gan_high": (0, ["D6", "D4", "E6", "C1", "C2"]),
    "disc_lr_high": (0, ["D4", "E1", "D14"]),
    "black": (18, ["A4", "A5"]),
    "nan": (14, ["A2", "F4", "F6"]),
    "tiny": (0, ["A7"]),
}
PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("lr_high", 0),
    ("gan_high", 1),
    ("disc_lr_high", 2),
    ("black", 0),
    ("tiny", 1),
    ("nan", 2),
]
EPOCHS = 28


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    common.seed_all(seed)
    s = common.settings(SETTINGS, seed)
    val = common.images(96, 24, 3, 900 + seed, simple=True)
    data = (
        np.repeat(common.images(12, 24, 3, seed, simple=True), 24, 0)
        if fault == "tiny"
        else common.images(288, 24, 3, seed, simple=True)
    )
    onset = common.onset(FAULTS, fault, seed, EPOCHS)
    with common.console(out):
        from pythae.data.datasets import DatasetOutput
        from pythae.models import FactorVAE, FactorVAEConfig
        from pythae.trainers import AdversarialTrainer, AdversarialTrainerConfig
        from pythae.trainers.training_callbacks import WandbCallback

        def wrap(x):
            return DatasetOutput(data=x)

        model = FactorVAE(
            FactorVAEConfig(
                input_dim=(3, 24, 24),
                latent_dim=16,
                gamma=common.severity(2.0, 2000.0, seed) if fault == "gan_high" else 2.0,
            )
        )
        k = common.severity(1, 30, seed) if fault == "lr_high" else 1
        config = AdversarialTrainerConfig(
            output_dir=str(out / "ckpt"),
            num_epochs=EPOCHS,
            per_device_train_batch_size=s["batch"],
            per_device_eval_batch_size=48,
            seed=seed,
            no_cuda=True,
            autoencoder_learning_rate=s["lr"] * k,
            autoencoder_optimizer_cls="Adam",
            discriminator_optimizer_cls="Adam",
            discriminator_learning_rate=s["lr"] * common.severity(1, {"disc_lr_high": 100}.get(fault, k), seed),
            train_dataloader_num_workers=0,
            eval_dataloader_num_workers=0,
        )
        train = common.Stream(data, fault if fault in ("nan", "black") else None, onset * len(data), wrap)
        wandb = WandbCallback()
        wandb.setup(training_config=config, model_config=model.model_config, project_name="factorvae", entity_name=None)
        trainer = AdversarialTrainer(
            model=model,
            train_dataset=train,
            eval_dataset=common.Stream(val, None, 0, wrap),
            training_config=config,
            callbacks=[wandb],
        )
        trainer.train()

    def recon(b):
        model.eval()
        return model.decoder(model.encoder(b).embedding).reconstruction.reshape(b.shape)

    common.finish(out, fault, seed, "wandb", recon, val, onset, EPOCHS, t0, s)

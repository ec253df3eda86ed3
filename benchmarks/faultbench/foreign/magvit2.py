"""magvit2-pytorch 0.5.1: VideoTokenizerTrainer on images with LFQ and GAN; its prints (seeds 0 and 2) or its W&B tracker offline (seed 1)."""

import pathlib
import time

import common

SETTINGS = {0: dict(lr=3e-3, batch=4), 1: dict(lr=2e-3, batch=4), 2: dict(lr=4e-3, batch=4)}
FAULTS = {  # onset in steps; the GAN starts after START steps
    "lr_high": (0, ["E1", "F4"]),
    "lr_zero": (0, ["E2", "H4"]),
    "gan_high": (0, ["D6", "D4", "D7", "E6"]),
    "nan": (90, ["A2", "F4", "F3"]),
    "black": (110, ["A4", "A5"]),
    "commit_huge": (0, ["C12", "C2", "E6"]),
    "clip_tiny": (0, ["E4", "E2"]),
    "no_gan": (0, ["D1"]),
}
STEPS, START = 170, 60

PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("lr_high", 0),
    ("gan_high", 1),
    ("nan", 2),
    ("commit_huge", 0),
    ("clip_tiny", 1),
    ("black", 2),
    ("lr_zero", 0),
]


def warm():
    common.torchvision_shim()
    import magvit2_pytorch  # noqa: F401


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    common.seed_all(seed)
    common.torchvision_shim()
    from magvit2_pytorch import VideoTokenizer, VideoTokenizerTrainer

    s = common.settings(SETTINGS, seed)
    onset = common.onset(FAULTS, fault, seed, STEPS)
    data, val = common.images(512, 16, 3, seed), common.images(64, 16, 3, 900 + seed)
    per_step = 2 * s["batch"]  # generator and discriminator draw a batch each once the GAN runs
    served = onset * s["batch"] + max(0, onset - START) * (per_step - s["batch"])
    dataset = common.Stream(data, fault if fault in ("nan", "black") else None, served)
    lr = s["lr"] * common.severity(1, {"lr_high": 60, "lr_zero": 1e-4}.get(fault, 1), seed)
    wandb = seed == 1

    with common.console(out):
        tokenizer = VideoTokenizer(
            image_size=16,
            init_dim=16,
            codebook_size=256,
            layers=(("compress_space", 32), "residual"),
            input_conv_kernel_size=(1, 3, 3),
            output_conv_kernel_size=(1, 3, 3),
            vgg=common.MeanFeatures(),
            perceptual_loss_weight=0.1,
            flash_attn=False,
            adversarial_loss_weight=common.severity(0.1, 500.0, seed) if fault == "gan_high" else 0.1,
            lfq_commitment_loss_weight=common.severity(0.25, 300.0, seed) if fault == "commit_huge" else 0.25,
            lfq_entropy_loss_weight=0.02,
            discr_kwargs=dict(dim=16, image_size=16, channels=3, max_dim=32),
        )
        trainer = VideoTokenizerTrainer(
            tokenizer,
            dataset=dataset,
            dataset_type="images",
            batch_size=s["batch"],
            num_train_steps=STEPS,
            learning_rate=lr,
            warmup_steps=20,
            discr_start_after_step=10**6 if fault == "no_gan" else START,
            validate_every_step=10,
            checkpoint_every_step=10**6,
            use_wandb_tracking=wandb,
            max_grad_norm=1e-5 if fault == "clip_tiny" else None,
            checkpoints_folder=str(out / "ckpt"),
            results_folder=str(out / "ckpt"),
        )
        if wandb:
            with trainer.trackers("magvit2", run_name=f"run-{seed}", hps={"lr": lr, "batch_size": s["batch"]}):
                trainer.train()
        else:
            trainer.train()

    def recon(b):
        tokenizer.eval()
        return tokenizer(b, return_codes=True, return_recon=True)[1].reshape(b.shape)

    start = START if fault in ("gan_high",) else onset
    common.finish(out, fault, seed, "wandb" if wandb else "train.log", recon, val, start, STEPS, t0, {**s, "lr": lr})

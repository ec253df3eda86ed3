"""audiolm-pytorch 2.4.0 (torchaudio/lib/*.so moved away: built for another torch): SoundStreamTrainer on synthetic tones; the lines it prints (seeds 0, 2) or its W&B tracker offline (seed 1)."""

import pathlib
import sys
import time
import types

import common
import numpy as np

SETTINGS = {0: dict(lr=6e-4, batch=3), 1: dict(lr=4e-4, batch=3), 2: dict(lr=8e-4, batch=3)}
FAULTS = {  # onset in steps
    "lr_high": (0, ["E1", "D6", "F4"]),
    "gan_high": (0, ["D6", "D4", "E6", "D7"]),
    "nan": (45, ["A2", "F4"]),
    "black": (50, ["A4", "A5"]),
    "lr_zero": (0, ["E2", "H4"]),
    "collapse": (0, ["C12", "E6"]),
}
PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("lr_high", 0),
    ("gan_high", 1),
    ("nan", 2),
    ("black", 0),
    ("collapse", 2),
]
STEPS, LENGTH = 90, 320


def warm():
    common.torchvision_shim()
    for name in ("fairseq", "fairseq.checkpoint_utils"):  # does not import on Python 3.11; only HuBERT needs it
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.modules["fairseq"].checkpoint_utils = sys.modules["fairseq.checkpoint_utils"]
    import audiolm_pytorch  # noqa: F401
    import torchaudio

    torchaudio.save = lambda *_, **__: None  # the sample written at step 0 would need torchcodec


def tones(n, seed):
    r = np.random.default_rng(seed)
    t = np.arange(LENGTH) / 16000
    f, a, p = r.uniform(100, 1500, (n, 3, 1)), r.uniform(0.1, 0.5, (n, 3, 1)), r.uniform(0, 6.28, (n, 3, 1))
    return ((a * np.sin(2 * np.pi * f * t + p)).sum(1) / 1.5 + r.normal(0, 0.005, (n, LENGTH))).astype(np.float32)


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    common.torchvision_shim()
    common.seed_all(seed)
    s = common.settings(SETTINGS, seed)
    onset = common.onset(FAULTS, fault, seed, STEPS)
    lr = s["lr"] * common.severity(1, {"lr_high": 60, "lr_zero": 1e-4}.get(fault, 1), seed)
    with common.console(out):
        from audiolm_pytorch import SoundStream, SoundStreamTrainer

        net = SoundStream(
            channels=8,
            strides=(2, 4),
            channel_mults=(2, 2),
            codebook_dim=16,
            codebook_size=64,
            rq_num_quantizers=2,
            use_local_attn=False,
            attn_depth=1,
            multi_spectral_window_powers_of_two=(6, 7),
            multi_spectral_n_mels=16,
            discr_multi_scales=(1,),
            feature_loss_weight=10,
            adversarial_loss_weight=common.severity(0.2, 2000.0, seed) if fault == "gan_high" else 0.2,
            recon_loss_weight=1.0,
            rq_commitment_weight=common.severity(1.0, 500.0, seed) if fault == "collapse" else 1.0,
            complex_stft_discr_kwargs=dict(
                channels=4, strides=((1, 2), (2, 2)), chan_mults=(1, 2), n_fft=128, hop_length=32, win_length=128
            ),
        )
        data = tones(600, seed)
        stream = common.Stream(
            data, fault if fault in ("nan", "black") else None, onset * 2 * s["batch"], lambda x: (x,)
        )
        trainer = SoundStreamTrainer(
            net,
            dataset=stream,
            batch_size=s["batch"],
            num_train_steps=STEPS,
            lr=lr,
            warmup_steps=10,
            grad_accum_every=1,
            use_wandb_tracking=seed == 1,
            save_results_every=10**6,
            save_model_every=10**6,
            results_folder=str(out / "results"),
            force_clear_prev_results=False,
            use_ema=False,
        )
        if seed == 1:
            with trainer.wandb_tracker(project="soundstream", run="run"):
                trainer.train()
        else:
            trainer.train()

    def recon(b):
        net.eval()
        return net(b, return_recons_only=True).reshape(b.shape)

    common.finish(
        out,
        fault,
        seed,
        "wandb" if seed == 1 else "train.log",
        recon,
        tones(64, 900 + seed),
        onset,
        STEPS,
        t0,
        {**s, "lr": lr},
    )

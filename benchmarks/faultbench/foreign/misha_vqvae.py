"""MishaLaskin/vqvae d761a99, main.py, its own text: VQ-VAE that prints means of the last interval (Recon Error, Loss, Perplexity)."""

import pathlib
import sys
import time
import types

import common
import numpy as np
import torch

SETTINGS = {0: dict(lr=1e-3, batch=16), 1: dict(lr=5e-4, batch=16), 2: dict(lr=2e-3, batch=24)}
FAULTS = {  # onset in steps
    "lr_high": (0, ["E1", "C12"]),
    "collapse": (0, ["C12", "E6"]),
    "nan": (500, ["A2", "F4"]),
    "black": (550, ["A4", "A5"]),
    "lr_zero": (0, ["E2", "H4"]),
    "scale255": (0, ["A1"]),
    "enc_frozen": (0, ["E2", "G3"]),
}
PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("lr_high", 0),
    ("collapse", 1),
    ("nan", 2),
    ("black", 0),
    ("lr_zero", 1),
    ("scale255", 2),
]
STEPS, EVERY = 900, 10


def warm():
    common.torchvision_shim()
    import torchvision  # noqa: F401


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    common.torchvision_shim()
    common.seed_all(seed)
    s = common.settings(SETTINGS, seed)
    onset = common.onset(FAULTS, fault, seed, STEPS)
    data, val = common.images(1024, 16, 3, seed), common.images(64, 16, 3, 900 + seed)
    k = 255 if fault == "scale255" else 1
    stream = common.Stream(
        data * 2 - 1, fault if fault in ("nan", "black") else None, onset * s["batch"], lambda x: (x * k, 0)
    )
    root = common.SRC / "misha"
    sys.path.insert(0, str(root))
    loader = torch.utils.data.DataLoader(stream, s["batch"], shuffle=True)
    utils = types.ModuleType("utils")
    utils.readable_timestamp = lambda: "now"
    utils.load_data_and_data_loaders = lambda *_: (None, None, loader, None, float(np.var(data)))
    sys.modules["utils"] = utils
    text = common.patched(
        root / "main.py",
        (
            "optim.Adam(model.parameters()",
            "optim.Adam(list(model.decoder.parameters())" if fault == "enc_frozen" else "optim.Adam(model.parameters()",
        ),
    )
    lr = s["lr"] * common.severity(1, {"lr_high": 100, "lr_zero": 1e-4}.get(fault, 1), seed)
    argv = [
        "main.py",
        "--batch_size",
        str(s["batch"]),
        "--n_updates",
        str(STEPS),
        "--n_hiddens",
        "16",
        "--n_residual_hiddens",
        "8",
        "--n_residual_layers",
        "1",
        "--embedding_dim",
        "8",
        "--n_embeddings",
        "64",
        "--beta",
        str(common.severity(0.25, 500, seed)) if fault == "collapse" else ".25",
        "--learning_rate",
        str(lr),
        "--log_interval",
        str(EVERY),
    ]
    old, sys.argv = sys.argv, argv
    ns: dict = {"__name__": "__main__"}
    with common.console(out):
        exec(compile(text, "main.py", "exec"), ns)
    sys.argv = old
    model = ns["model"].eval()

    def recon(b):
        return (model((b * 2 - 1) * k)[1] / k + 1) / 2

    common.finish(out, fault, seed, "train.log", recon, val, onset, STEPS, t0, {**s, "lr": lr})

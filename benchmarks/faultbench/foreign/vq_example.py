"""lucidrains/vector-quantize-pytorch 0d7d1aa, examples/autoencoder.py, its own text on CPU: the text of its tqdm bar (rec loss, cmt loss, active %)."""

import pathlib
import sys
import time
import types

import common

SETTINGS = {
    0: dict(lr=2e-3, batch=16, codes=64),
    1: dict(lr=1e-3, batch=24, codes=128),
    2: dict(lr=3e-3, batch=16, codes=64),
}
FAULTS = {  # onset in steps
    "lr_high": (0, ["E1", "C12"]),
    "collapse": (0, ["C12", "E6"]),
    "nan": (300, ["A2", "F4"]),
    "black": (350, ["A4", "A5"]),
    "lr_zero": (0, ["E2", "H4"]),
    "scale255": (0, ["A1"]),
    "no_step": (0, ["E2", "H4", "G3"]),
}
PLAN = [
    ("healthy", 0),
    ("healthy", 1),
    ("healthy", 2),
    ("lr_high", 0),
    ("collapse", 1),
    ("nan", 2),
    ("black", 0),
    ("scale255", 1),
    ("no_step", 2),
]
STEPS = 600


def warm():
    common.torchvision_shim()
    sys.modules.setdefault("fire", types.ModuleType("fire"))
    import torchvision  # noqa: F401
    import vector_quantize_pytorch  # noqa: F401


def main(fault, seed, out):
    out, t0 = pathlib.Path(out), time.process_time()
    warm()
    import torchvision

    s = common.settings(SETTINGS, seed)
    onset = common.onset(FAULTS, fault, seed, STEPS)
    data, val = common.images(1024, 16, 1, seed), common.images(64, 16, 1, 900 + seed)
    k = 255 if fault == "scale255" else 1
    stream = common.Stream(
        (data * 2 - 1) * k, fault if fault in ("nan", "black") else None, onset * s["batch"], lambda x: (x, 0)
    )
    torchvision.datasets.FashionMNIST = lambda *_, **__: stream
    params = "[p for p in torch.nn.Linear(2, 2).parameters()]" if fault == "no_step" else "model.parameters()"
    text = common.patched(
        common.SRC / "vq_example" / "autoencoder.py",
        ("opt = AdamW(model.parameters()", f"_seen[:] = [model]; opt = AdamW({params}"),
        ("import fire\n", "import fire\n_seen = []\n"),
    )
    lr = s["lr"] * common.severity(1, {"lr_high": 100, "lr_zero": 1e-4}.get(fault, 1), seed)
    ns: dict = {"__name__": "autoencoder"}
    with common.console(out):
        exec(compile(text, "autoencoder.py", "exec"), ns)
        ns["train"](
            train_iter=STEPS,
            lr=lr,
            num_codes=s["codes"],
            seed=seed,
            batch_size=s["batch"],
            alpha=common.severity(10, 3000, seed) if fault == "collapse" else 10,
        )
    model = ns["_seen"][0].eval()

    def recon(b):
        return (model((b * 2 - 1) * k)[0].clamp(-k, k) / k + 1) / 2

    common.finish(out, fault, seed, "train.log", recon, val, onset, STEPS, t0, {**s, "lr": lr})

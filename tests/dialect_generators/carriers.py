"""Generic carriers: how a training framework prints, whatever is trained. The names in them are a plain VAE's and nobody's own.

Read: open-mmlab/mmengine at 2543429, ``mmengine/runner/log_processor.py``, ``logging/logger.py``; facebookresearch/fairseq at 3d262bb,
``fairseq/logging/progress_bar.py``; mindspore-lab/mindone, ``mindone/trainers/callback.py`` at 02123ff, ``mindone/utils/logger.py`` at
0387c2f; pytorch/ignite at de08e79, ``ignite/handlers/tqdm_logger.py``; keras-team/keras at 3422977, ``keras/src/utils/progbar.py``.
MindSpore's LossMonitor, loguru's, accelerate's and the Hugging Face Trainer's lines are written as users paste them. NeMo's are those of
``cosmos_tokenizer``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dialect_generators.curves_b import Series, broken, curves
from dialect_generators.printing_b import bar, tqdm_number

Write = Callable[[Series], str]
Shown = Callable[[float], float]


@dataclass(frozen=True)
class Carrier:
    """columns: name in the log -> canonical metric. values: name in the log -> column of ``series``. shown: what print leaves of a
    value. steps: the step of each row. by_epoch: a row is an epoch."""

    write: Write
    columns: dict[str, str]
    values: dict[str, str]
    shown: Shown
    steps: Callable[[int], list[int]]
    by_epoch: bool = False
    suffix: str = ".log"


def series(kind: str = "healthy", rows: int = 200, seed: int = 0) -> Series:
    """total = rec + 0.01 x kl + 0.1 x perceptual. ``collapse``: the KL goes to nothing and the fit with it."""
    c = curves(kind, rows, seed)
    alive = (c.used / c.used.max()) ** 2 if kind == "collapse" else np.ones(len(c.t))
    rec, kl, perceptual = 0.3 * c.fit, (2 + 3 * c.t) * alive * c.noise(0.02), 0.7 * c.fit * c.noise(0.02)
    columns = {
        "total": rec + 0.01 * kl + 0.1 * perceptual,
        "rec": rec,
        "kl": kl,
        "perceptual": perceptual,
        "grad_norm": 1.2 * c.noise(0.2),
    }
    return broken(kind, columns, c)


def every(steps: int) -> Callable[[int], list[int]]:
    return lambda rows: [steps * (i + 1) for i in range(rows)]


def _clock(i: int) -> str:
    return f"{10 + i // 60 % 14:02d}:{i % 60:02d}:00"


def _mmengine(s: Series) -> str:
    text = ""
    for i in range(len(s["rec"])):
        step, left = 100 * (i + 1), 100 * (len(s["rec"]) - i)
        eta = f"{left // 3600}:{left // 60 % 60:02d}:{left % 60:02d}"
        text += (
            f"2024/10/01 {_clock(i)} - mmengine - INFO - Iter(train) [{step:>6}/100000]  base_lr: 2.0000e-04 lr: 2.0000e-04  "
            f"eta: {eta}  time: 0.2441  data_time: 0.0084  memory: 4510  grad_norm: {s['grad_norm'][i]:.4f}  "
            f"loss: {s['total'][i]:.4f}  loss_recon: {s['rec'][i]:.4f}  loss_kl: {s['kl'][i]:.4f}  "
            f"loss_perceptual: {s['perceptual'][i]:.4f}\n"
        )
        if step % 2000 == 0:
            text += f"2024/10/01 {_clock(i)} - mmengine - INFO - Saving checkpoint at {step} iterations\n"
    return text


def _fairseq(s: Series) -> str:
    text = "2023-05-01 09:58:12 | INFO | fairseq_cli.train | training on 1 devices (GPUs/TPUs)\n"
    for i in range(len(s["rec"])):
        epoch, within = divmod(i, 40)
        stats = {
            "loss": f"{s['total'][i]:.3f}", "recon_loss": f"{s['rec'][i]:.3f}", "kl_loss": f"{s['kl'][i]:.3f}", "wps": "5123",
            "ups": "3.1", "num_updates": str(100 * (i + 1)), "lr": "0.0001", "gnorm": f"{s['grad_norm'][i]:.3f}", "train_wall": "31",
        }  # fmt: skip
        record = {"epoch": epoch + 1, "update": round(epoch + (within + 1) / 40, 3), **stats}
        text += f"2023-05-01 {_clock(i)} | INFO | train_inner | {json.dumps(record)}\n"
        if within == 39:
            held_out = {
                f"valid_{n}": v for n, v in stats.items() if n in ("loss", "recon_loss", "kl_loss", "num_updates")
            }
            text += f"2023-05-01 {_clock(i)} | INFO | valid | {json.dumps({'epoch': epoch + 1, **held_out})}\n"
            mean = {f"train_{n}": v for n, v in stats.items()}
            text += f"2023-05-01 {_clock(i)} | INFO | train | {json.dumps({'epoch': epoch + 1, **mean})}\n"
    return text


def _mindspore(s: Series) -> str:
    text = ""
    for i, total in enumerate(s["total"]):
        text += f"epoch: {i + 1} step: 500, loss is {total:.7g}\n"
        text += f"Train epoch time: {36501.857 + i:.3f} ms, per step time: {73.004 + i / 500:.3f} ms\n"
    return text


def _mindone(s: Series) -> str:
    return "".join(
        f"[2024-11-04 {_clock(i)}] INFO: epoch {i // 20 + 1}, step {i % 20 * 100 + 100}, lr 0.0000450, loss {total:.6f}, loss scale 65536, "
        f"global_step {100 * (i + 1)}, step_time(ms) 812.3\n"
        for i, total in enumerate(s["total"])
    )


def _ignite(s: Series) -> str:
    states = []
    for i in range(len(s["rec"])):
        epoch, within = divmod(i, 20)
        done = 25 * (within + 1)
        postfix = f", loss={tqdm_number(s['total'][i])}, recon={tqdm_number(s['rec'][i])}, kl={tqdm_number(s['kl'][i])}"
        drawn = "█" * (done // 50)
        states.append(
            f"Epoch [{epoch + 1}/50]: [{done}/500] {done // 5:3d}%|{drawn:<10}{postfix} [{_clock(i)[3:]}<00:40]"
        )
    return "\r".join(states) + "\n"


def _loguru(s: Series) -> str:
    return "".join(
        f"2024-03-02 {_clock(i)}.120 | INFO     | codec.trainer:train:113 - [EPOCH {i}: Training loss {total:.6f}\n"
        for i, total in enumerate(s["total"])
    )


def _accelerate(s: Series) -> str:
    states = []
    for i in range(len(s["rec"])):
        names = {"lr": 1e-4, "step_loss": s["total"][i], "rec": s["rec"][i], "kl": s["kl"][i]}
        tail = ", " + ", ".join(f"{n}={tqdm_number(float(v))}" for n, v in names.items())
        states.append(bar("Steps", 50 * (i + 1), 20000, tail, "1.66it/s"))
    return "\r".join(states) + "\n"


def _hugging_face(s: Series) -> str:
    text = ""
    for i in range(len(s["rec"])):
        values = {
            "loss": round(float(s["total"][i]), 4), "rec_loss": round(float(s["rec"][i]), 4), "kl_loss": round(float(s["kl"][i]), 4),
            "grad_norm": float(s["grad_norm"][i]), "learning_rate": 1e-4 * (1 - i / len(s["rec"])), "epoch": round(0.02 * (i + 1), 2),
        }  # fmt: skip
        text += f"{values}\n"
    return (
        text
        + "{'train_runtime': 812.4, 'train_samples_per_second': 39.4, 'train_steps_per_second': 2.46, 'epoch': 4.0}\n"
    )


def _keras(s: Series) -> str:
    def number(value: float) -> str:
        return f"{value:.4f}" if abs(value) > 1e-3 else f"{value:.4e}"

    n, text = len(s["rec"]), ""
    for i in range(n):
        means = {"kl_loss": s["kl"][i], "loss": s["total"][i], "recon_loss": s["rec"][i]}
        running = "".join(f" - {k}: {number(1.1 * v)}" for k, v in means.items())
        held_out = "".join(f" - val_{k}: {number(1.04 * v)}" for k, v in means.items())
        final = "".join(f" - {k}: {number(v)}" for k, v in means.items()) + held_out
        text += f"Epoch {i + 1}/{n}\n"
        text += f"\r\x1b[1m230/469\x1b[0m \x1b[32m{'━' * 9}\x1b[0m\x1b[37m{'━' * 11}\x1b[0m \x1b[1m4s\x1b[0m 17ms/step{running}"
        text += (
            "\b" * 90
            + f"\r\x1b[1m469/469\x1b[0m \x1b[32m{'━' * 20}\x1b[0m\x1b[37m\x1b[0m \x1b[1m8s\x1b[0m 17ms/step{final}\n"
        )
    return text


def _digits(spec: str) -> Shown:
    return lambda value: float(f"{value:{spec}}")


_PLAIN = {"loss": "total_loss", "recon_loss": "rec_loss", "kl_loss": "kl_loss"}
_OF_PLAIN = {"loss": "total", "recon_loss": "rec", "kl_loss": "kl"}

CARRIERS = {
    "mmengine": Carrier(
        _mmengine,
        {"loss": "total_loss", "loss_recon": "rec_loss", "loss_kl": "kl_loss", "grad_norm": "grad_norm"},
        {"loss": "total", "loss_recon": "rec", "loss_kl": "kl", "grad_norm": "grad_norm"},
        _digits(".4f"),
        every(100),
    ),
    "fairseq": Carrier(
        _fairseq,
        _PLAIN | {"gnorm": "grad_norm"},
        _OF_PLAIN | {"gnorm": "grad_norm"},
        _digits(".3f"),
        every(100),
    ),
    "mindspore": Carrier(_mindspore, {"loss": "total_loss"}, {"loss": "total"}, _digits(".7g"), every(500)),
    "mindone": Carrier(_mindone, {"loss": "total_loss"}, {"loss": "total"}, _digits(".6f"), every(100)),
    "ignite": Carrier(
        _ignite,
        {"loss": "total_loss", "recon": "rec_loss", "kl": "kl_loss"},
        {"loss": "total", "recon": "rec", "kl": "kl"},
        lambda value: float(tqdm_number(value)),
        every(25),
    ),
    "loguru": Carrier(
        _loguru,
        {"Training loss": "total_loss"},
        {"Training loss": "total"},
        _digits(".6f"),
        lambda n: list(range(n)),
        True,
    ),
    "accelerate": Carrier(
        _accelerate,
        {"step_loss": "total_loss", "rec": "rec_loss", "kl": "kl_loss"},
        {"step_loss": "total", "rec": "rec", "kl": "kl"},
        lambda value: float(tqdm_number(value)),
        every(50),
    ),
    "hugging_face": Carrier(
        _hugging_face,
        {"loss": "total_loss", "rec_loss": "rec_loss", "kl_loss": "kl_loss"},
        {"loss": "total", "rec_loss": "rec", "kl_loss": "kl"},
        lambda value: round(value, 4),
        lambda n: list(range(n)),
    ),
    "keras": Carrier(_keras, _PLAIN, _OF_PLAIN, _digits(".4f"), every(469)),
}


def log(carrier: str, kind: str = "healthy", rows: int = 200, seed: int = 0) -> str:
    return CARRIERS[carrier].write(series(kind, rows, seed))

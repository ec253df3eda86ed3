"""The words that column names are made of, and what they speak for.

Each word stands once. A name is read by ``vaelab.roles.grammar``; here is only the vocabulary.
"""

from __future__ import annotations

from vaelab.catalog.roles import RoleName, Split

RECONSTRUCTION = {
    "rec": "", "recon": "", "r": "", "recons": "", "reconstruct": "", "reconstruction": "", "reconst": "", "nll": "", "likelihood": "",
    "pix": "", "pixel": "", "pixelwise": "", "rgb": "", "photometric": "",
    "l1": "l1", "mae": "l1", "abs": "l1", "l2": "mse", "mse": "mse", "bce": "bce", "huber": "huber", "charbonnier": "charbonnier",
    "mel": "spectral", "stft": "spectral", "mrstft": "spectral", "msstft": "spectral", "spec": "spectral", "msspec": "spectral",
    "spectral": "spectral", "spectrogram": "spectral", "spectrum": "spectral", "multispectral": "spectral",
    "waveform": "l1", "wav": "l1", "wave": "l1",
}  # fmt: skip
PERCEPTUAL = frozenset(
    ("percep", "perceptual", "perception", "lpips", "vgg", "style", "gram", "content", "p", "convnext")
)
KL = frozenset(("kl", "kld", "kldiv", "prior"))
QUANTISER = frozenset(
    ("vq", "vqloss", "commit", "commitment", "codebook", "quant", "quantize", "quantizer", "quantizing", "quantization",
     "quantisation", "rvq", "fsq", "lfq", "bsq", "embedding")
)  # fmt: skip
USAGE = frozenset(("usage", "unique", "utilization", "utilisation", "util", "active", "used", "dead"))
PERPLEXITY = frozenset(("perplexity", "ppl"))
ENTROPY = frozenset(("entropy",))
ADVERSARIAL = frozenset(("adv", "adversarial", "gan"))
GENERATOR = frozenset(("g", "gen", "generator"))
DISCRIMINATOR = frozenset(("dis", "disc", "discr", "discrim", "discriminator", "critic"))
REAL, FAKE = frozenset(("real", "gt")), frozenset(("fake", "generated"))
LOGITS = frozenset(("logit", "logits", "out", "pred", "score", "scores", "output"))
FEATURE = frozenset(("feat", "feats", "feature", "features", "fm", "fmap", "featmatch", "intermediate"))
ALIGNMENT = frozenset(
    ("vf", "align", "alignment", "distill", "distillation", "semantic", "repa", "dino", "dinov2", "clip", "proj")
)
REGULARISER = frozenset(
    ("reg", "regularization", "regularisation", "regularizer", "penalty", "gp", "r1", "r2", "lecam", "tv", "orthogonal")
)
ACCURACY = frozenset(("acc", "accuracy"))
WEIGHT = frozenset(
    ("weight", "weights", "lambda", "factor", "coef", "coeff", "coefficient", "beta", "alpha", "scale", "ratio")
)
# a name that ends so is a choice that was made once, whatever it is made for
SETTING = frozenset(
    ("start", "type", "size", "dim", "dims", "channels", "layers", "freq", "frequency", "every", "interval", "num", "params", "parameters",
     "path", "version")
)  # fmt: skip
LATENT = frozenset(("latent", "latents", "z", "mu", "posterior"))
STATISTIC = frozenset(("std", "mean", "var", "variance", "abs", "max", "min", "norm", "sigma"))
TOTAL = frozenset(("total", "overall", "sum", "all"))
LOSS = frozenset(("loss", "losses", "l", "distance", "dist", "error", "err", "objective", "cost"))
# words that do not change what a loss is
PLAIN = frozenset(
    ("train", "training", "step", "epoch", "avg", "average", "mean", "reduced", "running", "batch", "global", "current",
     "value", "model", "vae", "ae", "autoencoder", "vqvae", "vqgan", "main", "final", "smoothed", "smooth", "set", "the", "weighted", "unweighted", "scaled",
     "raw", "codec", "tokenizer", "iter", "overall", "per")
)  # fmt: skip
WEIGHTED = frozenset(("weighted", "w", "scaled"))
# words that make another quantity of the metric beside them
DERIVED = {
    "log": "the logarithm of a metric", "ln": "the logarithm of a metric", "log2": "the logarithm of a metric", "exp": "a power of a metric",
    "sqrt": "the root of a metric", "neg": "a metric with its sign turned", "negative": "a metric with its sign turned",
    "minus": "a difference", "delta": "a change of a metric", "diff": "a change of a metric", "change": "a change of a metric",
    "improvement": "a change of a metric", "inv": "the inverse of a metric", "inverse": "the inverse of a metric",
    "ratio": "a ratio of metrics", "std": "the spread of a metric", "stdev": "the spread of a metric",
    "stddev": "the spread of a metric", "var": "the spread of a metric", "variance": "the spread of a metric", "min": "an extreme of a metric",
    "max": "an extreme of a metric", "best": "an extreme of a metric", "lowest": "an extreme of a metric", "highest": "an extreme of a metric",
    "grad": "a gradient of a metric", "grads": "a gradient of a metric", "gradient": "a gradient of a metric", "gradients": "a gradient of a metric",
}  # fmt: skip

# canonical metric, and where a better value goes
QUALITY = {
    "psnr": "up", "ssim": "up", "msssim": "up", "dice": "up", "iou": "up", "pesq": "up", "stoi": "up", "visqol": "up", "sdr": "up",
    "snr": "up", "fid": "down", "rfid": "down", "fvd": "down", "rfvd": "down", "kid": "down", "gfid": "down", "flickering": "down",
}  # fmt: skip
TIME = frozenset(
    ("time", "sec", "secs", "second", "seconds", "timing", "timings", "elapsed", "eta", "duration", "speed", "throughput", "fps",
     "latency", "hours", "minutes", "ms", "timestamp", "runtime")
)  # fmt: skip
MEMORY = frozenset(("mem", "memory", "vram", "gpu", "ram", "cuda"))
PROGRESS = frozenset(
    ("epoch", "epochs", "step", "steps", "iter", "iters", "iteration", "iterations", "samples", "consumed", "batch", "batches",
     "updates", "update", "progress", "count", "seen", "bsz", "size", "num", "images", "index", "rank", "seed")
)  # fmt: skip
SPLITS: dict[str, Split] = {
    "val": "val", "valid": "val", "validation": "val", "eval": "val", "evaluation": "val", "dev": "val", "test": "test",
    "train": "train", "training": "train",
}  # fmt: skip

# names that trainers use for different things: behaviour decides between the roles
TWO_MEANINGS: dict[str, tuple[RoleName, ...]] = {
    "gen_loss": ("generator_adversarial", "total", "reconstruction"),
    "loss_gen": ("generator_adversarial", "total", "reconstruction"),
    "g_loss": ("generator_adversarial", "total"),
    "loss_g": ("generator_adversarial", "total"),
    "generator_loss": ("total", "generator_adversarial"),
    "loss_generator": ("total", "generator_adversarial"),
    "aeloss": ("total", "generator_adversarial"),
    "gan_loss": ("generator_adversarial", "discriminator"),
    "loss_gan": ("generator_adversarial", "discriminator"),
    "latent_loss": ("kl", "quantiser"),
    "embedding_loss": ("quantiser", "alignment"),
}

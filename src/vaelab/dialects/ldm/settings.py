"""latent-diffusion's YAML, started by Lightning. taming-transformers, generative-models and VidTok write theirs alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from vaelab.config.foreign.draft import Imported, flat
from vaelab.config.foreign.launch import devices_of
from vaelab.config.foreign.source import Notes, SettingsSource, importer_notes, not_misspelt
from vaelab.dialects.ldm import importing
from vaelab.dialects.options import Options, yaml_lines
from vaelab.dialects.plan import Gan, Loss, Optim, Plan, Sample, Schedule

ID = "ldm"
TRAINER = "lightning.trainer."
GLOBAL_STEP = "Lightning's global_step: batches before Lightning 1.6, two a batch since"
# what main.py reads: it deals with GPUs by trainer.gpus and an accelerator such as ddp, those of Lightning before 1.5
SECTIONS = frozenset(("model", "data", "lightning"))
OTHER_LIGHTNING = frozenset(("devices", "strategy"))
OTHER_ACCELERATORS = frozenset(("auto", "cpu", "cuda", "gpu", "hpu", "mps", "npu", "tpu"))
# where the keys of the loss and of the network stand: the first of these that the file has
LOSSES = ("model.params.lossconfig.params.", "model.params.loss_config.params.")
NETWORKS = ("model.params.ddconfig.", "model.params.encoder_config.params.")


def target_of(parsed: Any) -> str | None:
    """The model's class in a mapping with model.params; None for any other text."""
    model = parsed.get("model") if isinstance(parsed, dict) else None
    if not isinstance(model, dict) or not isinstance(model.get("params"), dict):
        return None
    return str(model.get("target", ""))


def has_autoencoder(parsed: Any) -> bool:
    """Whether the model has a section of its network or of its loss, as latent-diffusion calls them."""
    return target_of(parsed) is not None and bool({"ddconfig", "lossconfig"} & set(parsed["model"]["params"]))


@dataclass(frozen=True)
class LightningFile:
    """Such a file. loss, network: where the keys of each stand."""

    options: Options
    loss: str
    network: str

    @classmethod
    def of(cls, text: str, parsed: Any) -> LightningFile:
        o = Options(flat(parsed), yaml_lines(text))
        loss, network = (next((p for p in places if o.below(p)), places[0]) for places in (LOSSES, NETWORKS))
        return cls(o, loss, network)

    def keys(self, kl_weight: str = "regularization_weights.kl_loss") -> dict[str, str]:
        """Common names -> options. kl_weight: below the loss."""
        return {
            "disc_start": f"{self.loss}disc_start",
            "kl_weight": f"{self.loss}{kl_weight}",
            "updates": f"{TRAINER}max_steps",
            "lr": "model.base_learning_rate",
            "size": f"{self.network}resolution",
            "frames": "data.params.train.params.video_params.sample_num_frames",
            "accumulate": f"{TRAINER}accumulate_grad_batches",
            "clip": f"{TRAINER}gradient_clip_val",
            "perceptual_weight": f"{self.loss}perceptual_weight",
            "precision": f"{TRAINER}precision",
            "checkpoint_every": "lightning.modelcheckpoint.params.every_n_train_steps",
        }

    @property
    def perceptual_weight(self) -> float | None:
        return self.options.number(f"{self.loss}perceptual_weight", 1.0)

    @property
    def learns_logvar(self) -> bool:
        return self.options.flag(f"{self.loss}learn_logvar")

    def schedule(self, gan: Gan) -> Schedule:
        steps, counts = self.options.whole(f"{TRAINER}max_steps"), gan.counts or 1
        if steps is None or steps < 0:
            return Schedule()
        return Schedule(int(steps / counts), f"{TRAINER}max_steps {steps:,} in the same counter")

    def gan(self, start: int, counts: float | None, counter: str) -> Gan:
        """start: where the file gives none. counts, counter: as in Gan."""
        o, loss = self.options, self.loss
        built = f"{loss}disc_start" in o or "disc" in str(o.get(loss.removesuffix("params.") + "target", "")).lower()
        factor = o.number(f"{loss}disc_factor", 1.0)
        return Gan(
            built=built and factor != 0,
            asked=built,
            start=o.number(f"{loss}disc_start", start),
            counts=counts,
            counter=counter,
        )

    @property
    def factor(self) -> int | None:
        """How many pixels one latent covers, in height and in width."""
        multipliers = self.options.get(f"{self.network}ch_mult")
        return 2 ** (len(multipliers) - 1) if isinstance(multipliers, list) else None

    def image(self) -> Sample:
        """One image, whose size the data decide where the file says it."""
        o, network = self.options, self.network
        sizes = [k for k in o if k.startswith("data.params.train.") and k.endswith((".size", ".crop_size"))]
        size = o.whole(sizes[0]) if sizes else o.whole(f"{network}resolution")
        embed = o.whole("model.params.embed_dim", o.whole(f"{network}z_channels"))
        return Sample(
            o.whole(f"{network}in_channels", 3),
            1,
            size,
            size,
            embed,
            None,
            1,
            self.factor,
            "the autoencoder",
            f"{network}resolution",
        )

    def optim(self, *, scaled: bool = False, copied_base: bool = False, manual: bool = False) -> Optim:
        """scaled: the base rate is multiplied by batch, GPUs and accumulation. The others: as in Optim."""
        o = self.options
        base = o.number("model.base_learning_rate")
        batch = o.whole("data.params.batch_size", o.whole("data.params.train.loader.batch_size"))
        gpus = devices_of(o.get(f"{TRAINER}gpus", o.get(f"{TRAINER}devices")))
        accumulate = o.whole(f"{TRAINER}accumulate_grad_batches", 1)
        precision = str(o.get(f"{TRAINER}precision", "32"))
        return Optim(
            rate=base * (batch or 1) * (gpus or 1) * (accumulate or 1) if scaled and base is not None else base,
            base=base,
            scaled=scaled,
            copied_base=copied_base,
            batch=batch,
            gpus=gpus,
            accumulate=accumulate,
            manual=manual,
            clip=o.number(f"{TRAINER}gradient_clip_val"),
            ema_decay=o.number("model.params.ema_decay"),
            precision="bf16" if "bf16" in precision else "fp16" if "16" in precision else "fp32",
            loss_in_precision=True,
        )

    def notes(self, convert: Callable[[str, Any], Imported], text: str, parsed: Any) -> Notes:
        """The importer's notes. The size is judged by a rule of its own; a weight of 1 of the pixel loss asks for nothing."""
        notes = importer_notes(convert, text, parsed, self.options, (f"{self.network}resolution",))
        pixel = f"{self.loss}pixelloss_weight"
        asks = tuple(i for i in notes.ignored if i.key != pixel or self.options.number(pixel) != 1.0)
        return replace(notes, ignored=asks)

    def signs(self, public: PublicCode) -> tuple[str, ...]:
        """The options, the sections, and the classes of model and loss, that are not of the public code."""
        loss = self.loss.removesuffix("params.")
        sections = (("model.params.", public.model), (self.network, public.network), (self.loss, public.loss))
        signs: list[str] = []
        for key in ("model.target", f"{loss}target"):
            package, _, name = str(self.options.get(key) or "").rpartition(".")
            if name and not (package.startswith(public.packages) and name in public.classes):
                signs.append(key)
        for prefix, known in sections:
            given = {key.partition(".")[0]: prefix + key for key in self.options.below(prefix)}
            unknown = [name for name in given if name not in known]
            signs += [given[name] for name in not_misspelt(unknown, known - set(given))]
        tops = dict.fromkeys(key.partition(".")[0] for key in self.options)
        signs += not_misspelt([top for top in tops if top not in SECTIONS], SECTIONS - set(tops))
        return tuple(signs + self._other_lightning() if public.old_lightning else signs)

    def _other_lightning(self) -> list[str]:
        """Options of the trainer that a main.py for Lightning before 1.5 does not read."""
        found = [TRAINER + name for name in sorted(OTHER_LIGHTNING) if TRAINER + name in self.options]
        accelerator = f"{TRAINER}accelerator"
        return [*found, accelerator] if self.options.get(accelerator) in OTHER_ACCELERATORS else found


@dataclass(frozen=True)
class PublicCode:
    """What the configuration of a trainer's public code can name. packages: of its classes. model, network, loss: arguments of
    model.params, of the network's section and of the loss. old_lightning: its main.py is for Lightning before 1.5."""

    packages: tuple[str, ...]
    classes: frozenset[str]
    model: frozenset[str]
    network: frozenset[str]
    loss: frozenset[str]
    old_lightning: bool = False


NETWORK = frozenset(
    [
        "ch",
        "out_ch",
        "ch_mult",
        "num_res_blocks",
        "attn_resolutions",
        "dropout",
        "resamp_with_conv",
        "in_channels",
        "resolution",
        "z_channels",
        "double_z",
        "use_linear_attn",
        "attn_type",
        "give_pre_end",
        "tanh_out",
    ]
)
# arguments of LPIPSWithDiscriminator and VQLPIPSWithDiscriminator
LOSS = frozenset(
    [
        "disc_start",
        "logvar_init",
        "kl_weight",
        "pixelloss_weight",
        "disc_num_layers",
        "disc_in_channels",
        "disc_factor",
        "disc_weight",
        "perceptual_weight",
        "use_actnorm",
        "disc_conditional",
        "disc_loss",
        "codebook_weight",
        "disc_ndf",
        "n_classes",
        "perceptual_loss",
        "pixel_loss",
    ]
)
PUBLIC = PublicCode(
    ("ldm.", "taming."),
    frozenset(
        (
            "AutoencoderKL",
            "VQModel",
            "VQModelInterface",
            "LPIPSWithDiscriminator",
            "VQLPIPSWithDiscriminator",
            "DummyLoss",
        )
    ),
    frozenset(
        [
            "ddconfig",
            "lossconfig",
            "embed_dim",
            "ckpt_path",
            "ignore_keys",
            "image_key",
            "colorize_nlabels",
            "monitor",
            "n_embed",
            "batch_resize_range",
            "scheduler_config",
            "lr_g_factor",
            "remap",
            "sane_index_shape",
            "use_ema",
        ]
    ),
    NETWORK,
    LOSS,
    old_lightning=True,
)


def certainty(text: str, parsed: Any) -> float:
    """An autoencoder of the package ldm; less sure, a network or a loss under latent-diffusion's names. The package's
    diffusion models are none."""
    target, described = target_of(parsed) or "", has_autoencoder(parsed)
    if target.startswith("ldm.") and (described or "autoencoder" in target):
        return 0.9
    return 0.5 if described else 0.0


def plans(text: str, parsed: Any, path: str) -> list[Plan]:
    """The one training of the file."""
    file = LightningFile.of(text, parsed)
    o, loss = file.options, file.loss
    gan = file.gan(50_001, None, GLOBAL_STEP)
    quantised = "model.params.n_embed" in o
    kl = None if quantised else o.number(f"{loss}kl_weight", 1.0)
    notes = file.notes(importing.convert, text, parsed)
    return [
        Plan(
            ID,
            importing.TITLE,
            o,
            file.keys("kl_weight"),
            file.schedule(gan),
            gan,
            Loss("mean", 1.0, file.perceptual_weight)
            if quantised
            else Loss("sum", 1.0, file.perceptual_weight, kl, "sum", file.learns_logvar),
            file.image(),
            file.optim(scaled=True),
            notes.ignored,
            notes.unknown,
        ).as_fork(file.signs(PUBLIC))
    ]


SETTINGS = (
    SettingsSource(ID, importing.TITLE, "CompVis/latent-diffusion at a506df5", certainty, plans, importing.convert),
)

"""Settings: loading, changing, the sentences of errors, and exact round trips through YAML."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaelab.config import TrainConfig, dump_config, load_config, options_table, preset, yaml_text
from vaelab.config.doubts import doubts
from vaelab.config.options import OPTIONS, find_option
from vaelab.config.presets import preset_names
from vaelab.errors import ConfigError


def saved(folder: Path, text: str) -> str:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


# text that YAML readers like to take for something else
tricky = st.sampled_from(
    ["off", "1e-6", "010", "no", "null", "~", "2026-01-01", "1:30", "", " a", "#x", "a: b", "0x1", "=", "<<"]
)
words = tricky | st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
numbers = st.floats(0, 1e300, allow_nan=False)
free = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(
    name=words,
    kl=numbers,
    lr=numbers.filter(bool),
    options=st.dictionaries(words, free, max_size=4),
    path=st.none() | words,
)
def test_a_dumped_config_is_loaded_again_exactly(
    name: str, kl: float, lr: float, options: dict[str, Any], path: str | None
) -> None:
    config = TrainConfig.model_validate(
        {"name": name, "loss": {"kl_weight": kl}, "optim": {"lr": lr}, "data": {"options": options, "path": path}}
    )
    again = TrainConfig.model_validate(yaml_text.parse(dump_config(config), "dump"))
    assert again == config


def test_a_dumped_preset_is_the_same_as_a_file(tmp_path: Path) -> None:
    assert load_config(saved(tmp_path, dump_config(preset("radio-map")))) == preset("radio-map")


@pytest.mark.parametrize("text", ["1e-6", "1E-6", "1.e-6", "0.000001", "+1e-6"])
def test_small_numbers_are_numbers_however_they_are_written(tmp_path: Path, text: str) -> None:
    assert load_config("video-tiny", [f"kl_weight={text}"]).loss.kl_weight == 1e-6
    assert load_config(saved(tmp_path, f"loss:\n  kl_weight: {text}\n")).loss.kl_weight == 1e-6


def test_off_is_a_word_and_not_false(tmp_path: Path) -> None:
    assert load_config(saved(tmp_path, "loss: {logvar: off}")).loss.logvar == "off"
    assert load_config("video-tiny", ["logvar=off", "disc=none"]).loss.disc == "none"


def test_underscores_and_leading_zeros_are_decimal() -> None:
    assert load_config("video-tiny", ["steps=50_001", "seed=010"]).run.steps == 50_001
    assert load_config("video-tiny", ["seed=010"]).run.seed == 10


def test_names_may_leave_out_the_section_and_reach_into_free_tables() -> None:
    config = load_config(
        "video-tiny",
        [
            "kl_weight=1e-5",
            "data.options.scenes=[munich]",
            "options.a.b=2",
            "model.config.patch_size=1",
            "betas=[0.5, 0.9]",
        ],
    )
    assert config.loss.kl_weight == 1e-5 and config.optim.betas == (0.5, 0.9)
    assert config.data.options == {"scenes": ["munich"], "a": {"b": 2}}
    assert config.model.config == {**preset("video-tiny").model.config, "patch_size": 1}
    assert preset("video-tiny").data.options == {}, "a change must not reach the preset itself"


def test_text_options_take_numbers_as_text() -> None:
    config = load_config("video-tiny", ["name=2026", "pretrained=007", "path=null", "val_path='null'"])
    assert (config.name, config.model.pretrained, config.data.path, config.data.val_path) == (
        "2026",
        "007",
        None,
        "null",
    )


def test_later_changes_win() -> None:
    assert load_config("video-tiny", ["steps=700", "run.steps=800"]).run.steps == 800


def test_a_file_may_start_from_a_preset(tmp_path: Path) -> None:
    config = load_config(
        saved(tmp_path, "base: radio-map\nname: mine\noptim: {lr: 1e-5}\ndata: {options: {simulation: DPM}}\n")
    )
    expected = preset("radio-map")
    assert config.name == "mine" and config.optim.lr == 1e-5 and config.data.options == {"simulation": "DPM"}
    assert config.optim.min_lr == expected.optim.min_lr and config.loss == expected.loss


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("klweight=3", ["no option klweight", "loss.kl_weight"]),
        ("model.kl_weight=3", ["model.kl_weight", "another section", "loss.kl_weight"]),
        ("kl_scale=1", ["kl_scale", "here it is called loss.kl_weight"]),
        ("epochs=3", ["here it is called run.steps"]),
        ("gradient_accumulate_every=2", ["optim.accumulate"]),
        ("qqq=1", ["no option qqq", "vaelab train --help"]),
        ("loss=3", ["loss is a section", "kl_weight"]),
        ("loss.kl_weight.x=1", ["loss.kl_weight holds one value"]),
        ("kl_weight", ["write name=value"]),
        ("=1", ["write name=value"]),
        ("kl_weight=-1", ["loss.kl_weight = -1", "number >= 0"]),
        ("kl_weight=.nan", ["loss.kl_weight", "number >= 0"]),
        ("lr=.inf", ["optim.lr"]),
        ("clip_grad=true", ["optim.clip_grad = true", "number > 0"]),
        ("flip=7", ["data.flip = 7", "true | false"]),
        ("disc=batch", ["loss.disc = 'batch'", "none | patch2d | patch3d"]),
        ("frames=2.5", ["data.frames = 2.5", "whole number >= 1"]),
        ("resolution=64", ["data.resolution = 64", "[whole number, whole number]"]),
        ("resolution=[64]", ["data.resolution", "too few", "[whole number, whole number]"]),
        ("resolution=[64, 64, 64]", ["data.resolution", "[whole number, whole number]"]),
        ("trackers=[wandbb]", ["run.trackers", "wandb"]),
        ("name=null", ["name = null", "text"]),
        ("kl_weight=[1", ["kl_weight", "not valid YAML"]),
        ("disc_warmup=4000", ["disc_warmup 4000", "disc_start 240"]),
        ("warmup_steps=600", ["warmup_steps 600", "400 steps"]),
        ("betas=[0.9, 1.0]", ["optim.betas", "1.0"]),
        ("disc_betas=[-0.1, 0.9]", ["optim.disc_betas", "-0.1"]),
        ("seed=12345678901234567890123", ["run.seed", "12345678901234567890123"]),
        ("min_lr=1", ["min_lr 1 is above lr"]),
        ("disc_min_lr=1", ["disc_min_lr 1 is above"]),
        ("perceptual_frames=100", ["perceptual_frames 100 is more than the", "frames of a clip"]),
        ("image_share=0.0004", ["image_share 0.0004", "makes it 0"]),
        ("logvar_init=-800", ["loss.logvar_init = -800"]),
    ],
)
def test_a_wrong_change_is_refused_in_one_sentence(override: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        load_config("video-tiny", [override])
    for words in said:
        assert words in str(error.value)
    assert "\n" not in str(error.value) and "pydantic" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("loss: {kl_wieght: 1}", ["loss.kl_wieght", "loss.kl_weight"]),
        ("kl_weight: 1", ["kl_weight", "loss.kl_weight"]),
        ("optim: {kl_weight: 1}", ["another section: loss.kl_weight"]),
        ("loss: 3", ["loss is a section"]),
        ("loss:", ["loss is a section"]),
        ("", ["holds nothing"]),
        ("- 1", ["holds one list"]),
        ("base: radiomap", ["base must be a preset", "radio-map"]),
        ("base: [1]", ["base must be a preset"]),
        ("a: [", ["not valid YAML", "line 1"]),
        ("loss: {kl_weight: 1, kl_weight: 2}", ["kl_weight is given twice"]),
        ("run: {steps: -1, batch_size: 0}", ["run.steps = -1", "run.batch_size = 0"]),
        ("loss: {kl_weight: true}", ["loss.kl_weight = true"]),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path: Path, text: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(saved(tmp_path, text))
    for words in said:
        assert words in str(error.value)
    assert "config.yaml" in str(error.value) and "\n" not in str(error.value)


def test_a_missing_file_and_an_unknown_preset_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone.yaml does not exist"):
        load_config(str(tmp_path / "gone.yaml"))
    with pytest.raises(ConfigError, match="did you mean video-tiny"):
        load_config("video-tny")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(str(tmp_path) + "/")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_config(str(tmp_path / "binary.yaml"))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_any_text_as_a_change_gives_settings_or_one_sentence(text: str) -> None:
    for override in (text, f"kl_weight={text}", f"data.options.{text}"):
        with contextlib.suppress(ConfigError):
            load_config("video-tiny", [override])


def test_the_table_of_options_is_complete_and_written_for_people() -> None:
    table = options_table()
    assert len(table) == len(OPTIONS) == sum(len(s.model_fields) for s in _sections()) + 2  # name, description
    for section, name, kind, default, description in table:
        assert kind and default is not None and len(description) > 8, f"{section}.{name}"
        assert "typing" not in kind and "<class" not in kind and "Undefined" not in default
    row = next(row for row in table if row[1] == "kl_weight")
    assert row[:4] == ("loss", "kl_weight", "number >= 0", "1e-06")


def test_bare_names_are_unique_or_need_their_section() -> None:
    for key, option in OPTIONS.items():
        assert find_option(key) == (option, ())
        twins = [o for o in OPTIONS.values() if o.name == option.name]
        assert len(twins) > 1 or find_option(option.name) == (option, ())


def _sections() -> list[Any]:
    return [f.annotation for f in TrainConfig.model_fields.values() if hasattr(f.annotation, "model_fields")]


def test_settings_without_a_reconstruction_are_refused() -> None:
    with pytest.raises(ConfigError, match="nothing would ask for a reconstruction"):
        load_config("video-tiny", ["pixelloss_weight=0", "perceptual_weight=0"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["disc_weight=0"], "disc_weight is 0: the discriminator is built"),
        (["disc_factor=0"], "disc_factor is 0: the discriminator is built"),
        (["disc_start=400"], "never trains a GAN"),
        (["disc_ramp=1000"], "disc_ramp 1000 from disc_start 240 on does not end within the run's 400 steps"),
        (["disc_warmup_steps=1000"], "disc_warmup_steps 1000 does not end"),
        (["kl_warmup=400"], "kl_weight is never in force"),
        (["batch_size=64"], "takes 64 samples"),
    ],
)
def test_what_is_seldom_meant_is_said_and_not_refused(changes: list[str], said: str) -> None:
    found = doubts(load_config("video-tiny", changes), items=40)
    assert len(found) == 1 and said in found[0]


def test_no_preset_is_doubted() -> None:
    assert {name: doubts(preset(name)) for name in preset_names()} == {name: () for name in preset_names()}

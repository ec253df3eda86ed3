"""vaelab lint: our own settings, comments that switch findings off, formats, exit codes, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from vaelab.cli.app import app
from vaelab.config.foreign import sources
from vaelab.config.foreign.draft import flat
from vaelab.dialects.conditions import Condition
from vaelab.dialects.options import Options, command_lines, python_options, yaml_lines
from vaelab.dialects.plan import Loss, Plan, Sample
from vaelab.errors import ConfigError
from vaelab.explain import explain
from vaelab.lint import KNOWN_BUGS, LINT_RULES, lint
from vaelab.lint.formats import to_github, to_json, to_sarif

runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})

OWN: dict[str, Any] = {
    "model": {"type": "CausalVideoVAE", "config": {"latent_channels": 8}},
    "data": {"source": "moving-shapes", "frames": 17, "resolution": [128, 128]},
    "loss": {
        "disc_start": 5000,
        "disc_warmup": 500,
        "kl_weight": 1e-6,
        "nll_reduction": "mean",
        "kl_reduction": "mean",
    },
    "optim": {"lr": 1e-4, "ema_decay": 0.999, "clip_grad": 1.0},
    "run": {"steps": 20_000},
}


def own(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    """Codes of the findings on ``OWN`` with ``section__option=value`` changed -> finding."""
    raw = {section: dict(options) for section, options in OWN.items()}
    for key, value in changes.items():
        section, option = key.split("__", 1)
        raw[section][option] = value
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(raw))
    (found,) = lint(str(path))
    return {f.code: f for f in found.findings}


def test_sound_settings_of_our_own_are_clean(tmp_path: Path) -> None:
    assert own(tmp_path) == {}


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("LNT101", {"loss__disc_start": 20_000}),
        ("LNT103", {"optim__warmup_steps": 5000}),
        ("LNT103", {"loss__kl_warmup": 4999}),
        ("LNT105", {"loss__disc_start": 19_500}),
        ("LNT105", {"loss__disc_ramp": 14_500}),
        ("LNT106", {"loss__disc_warmup": 0}),
        ("LNT107", {"optim__warmup_steps": 15_000}),
        ("LNT201", {"loss__disc": "none"}),
        ("LNT201", {"optim__min_lr": 1e-5}),
        ("LNT201", {"loss__perceptual_weight": 0.0, "loss__perceptual_frames": 2}),
        ("LNT201", {"loss__lecam_decay": 0.9}),
        ("LNT201", {"run__rollback_tries": 5}),
        ("LNT205", {"data__frames": 18}),
        ("LNT206", {"data__resolution": [128, 100]}),
        ("LNT208", {"loss__disc_layers": 6}),
        ("LNT209", {"data__source": "videos"}),
        ("LNT209", {"data__source": "images", "data__path": "pictures"}),
        ("LNT209", {"data__source": "radiomapseer", "data__path": "maps", "data__val_path": "more"}),
        ("LNT209", {"data__source": "videos", "data__path": "films", "data__options": {"cars": True}}),
        ("LNT301", {"loss__kl_weight": 0.1}),
        ("LNT302", {"loss__kl_weight": 1e-12}),
        ("LNT303", {"loss__nll_reduction": "sum", "loss__disc_weight_mode": "fixed", "optim__clip_grad": 1e5}),
        ("LNT402", {"optim__lr": 0.02}),
        ("LNT404", {"optim__clip_grad": 5000.0}),
        ("LNT405", {"loss__nll_reduction": "sum"}),
        ("LNT406", {"optim__ema_decay": 0.9999}),
    ],
)
def test_each_fault_of_our_own_settings_is_named(code: str, changes: dict[str, Any], tmp_path: Path) -> None:
    found = own(tmp_path, **changes)
    assert code in found
    # line of one of the changed options, where it is one
    assert found[code].line is not None


@pytest.mark.parametrize("rule", LINT_RULES, ids=lambda rule: rule.code)
def test_every_rule_is_documented_and_fires_in_a_test(rule: Any) -> None:
    sections = ("What it checks", "Why it matters", "What to do", "References")
    assert re.findall(rf"^({'|'.join(sections)}): \S", rule.documentation(), re.MULTILINE) == list(sections)
    explanation = explain(rule.code.lower())
    assert explanation.kind == "rule" and explanation == explain(rule.name)
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_lint*.py"))
    assert rule.code in tests


@pytest.mark.parametrize("code", KNOWN_BUGS)
def test_every_known_fault_is_explained(code: str) -> None:
    bug, text = KNOWN_BUGS[code], str(explain(code))
    assert set(bug.trainers) <= set(sources()) and bug.title in text and bug.fix in text and bug.when.text in text
    assert not bug.rule or bug.rule in {rule.code for rule in LINT_RULES}
    for trainer in bug.trainers:
        assert bug.place(trainer) and sources()[trainer].source in text


def test_every_trainer_has_a_source_and_faults() -> None:
    assert set(sources()) == {trainer for bug in KNOWN_BUGS.values() for trainer in bug.trainers}
    assert len(KNOWN_BUGS) >= 80


def test_the_list_of_rules_names_them_all() -> None:
    listed = json.loads(runner.invoke(app, ["rules", "-f", "json"]).stdout)
    assert {r["code"] for r in listed if r["command"] == "lint"} == {*KNOWN_BUGS, *(r.code for r in LINT_RULES)}
    assert "LNT101" in runner.invoke(app, ["rules"]).stdout


# -- effective beta


@pytest.mark.parametrize(
    ("loss", "sample", "beta"),
    [
        # latent-diffusion: the unit itself
        (Loss("sum", 1.0, 1.0, 1e-6, "sum"), Sample(), 1e-6),
        # Pyramid-Flow, weight 1e-4 and pixel weight 10: 2.09 (sum over 3,342,336 values, mean over 16 channels)
        (Loss("mean", 10.0, 1.0, 1e-4, "channel_mean"), Sample(3, 17, 256, 256, 16, (8, 1), 8, 8), 2.08896),
        # VidTok: nll of a frame, KL of the clip
        (Loss("sum_per_frame", 1.0, 1.0, 1e-6, "sum"), Sample(3, 17, 256, 256, 4, (4, 1), 4, 8), 1.7e-5),
        # means on both sides: values of the clip over values of the latent
        (Loss("mean", 1.0, 1.0, 1e-6, "mean"), Sample(3, 1, 256, 256, 4, None, 1, 8), 1e-6 * 196_608 / 4096),
        (Loss("sum", 1.0, 1.0, None, "sum"), Sample(), None),
        (Loss("mean", 1.0, 1.0, 1e-6, "sum"), Sample(), None),
        (Loss("mean", 0.0, 1.0, 1e-6, "sum"), Sample(3, 1, 8, 8), None),
    ],
)
def test_the_effective_beta_is_that_of_sums_over_a_sample(loss: Loss, sample: Sample, beta: float | None) -> None:
    found = Plan("x", "x", Options({}), loss=loss, sample=sample).beta
    assert found is beta is None or found == pytest.approx(beta, rel=1e-4)


# -- comments


def test_a_comment_on_a_line_switches_off_what_is_found_there(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    text = yaml.safe_dump(OWN).replace("kl_weight: 1.0e-06", "kl_weight: 1.0e-12 # vaelab: ignore LNT302 (on purpose)")
    path.write_text(text.replace("disc_start: 5000", "disc_start: 50000"))
    (found,) = lint(str(path))
    assert [f.code for f in found.findings] == ["LNT101"] and [f.code for f in found.suppressed] == ["LNT302"]
    path.write_text("# vaelab: ignore LNT101, LNT302\n" + path.read_text())
    assert lint(str(path))[0].findings == ()
    path.write_text(text.replace("ignore LNT302", "ignore LNT101"))
    assert [f.code for f in lint(str(path))[0].findings] == ["LNT302"]


def test_a_preset_that_starts_from_another_keeps_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("base: autoencoder-mode\nrun: {batch_size: 1}\ndata: {path: films}\n")
    assert lint(str(path))[0].findings == ()
    path.write_text("base: autoencoder-mode\ndata: {path: films}\nloss:\n  kl_weight: 1.0e-13\n")
    assert [f.code for f in lint(str(path))[0].findings] == ["LNT302"], "a value of one's own has comments of one's own"


# -- options and their lines

keys = st.from_regex(r"[a-h][a-h_]{0,5}", fullmatch=True)
tree: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(keys, st.integers() | st.floats(allow_nan=False) | st.booleans(), max_size=4),
    lambda inner: st.dictionaries(keys, inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(tree)
def test_every_key_of_a_yaml_has_the_line_it_is_on(data: dict[str, Any]) -> None:
    text = yaml.safe_dump(data, sort_keys=False)
    lines = yaml_lines(text)
    for key in flat(data):
        assert text.splitlines()[lines[key] - 1].strip().startswith(f"{key.rsplit('.', 1)[-1]}:")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(keys, st.integers(0, 99)), min_size=1, max_size=8, unique_by=lambda pair: pair[0]), st.randoms()
)
def test_every_option_of_a_script_has_the_line_it_is_on(options: list[tuple[str, int]], random: Any) -> None:
    lines = ["#!/bin/bash", "# train.py --lr 3 in a comment", "torchrun train.py \\"]
    for name, value in options:
        lines.append(f"  --{name} {value} \\")
        if random.random() < 0.3:
            lines[-1] += "\n \\"
    text = "\n".join(lines) + "\n\necho done\n"
    (found,) = command_lines(text, "train.py")
    shown = text.splitlines()
    assert set(found) == {name for name, _ in options}
    assert all(f"--{name} " in shown[line - 1] for name, line in found.items())


def test_python_settings_are_read_and_not_run(tmp_path: Path) -> None:
    options = python_options(
        'import os\nos.abort()\nlr = 1e-4\noptim = dict(lr=lr, betas=(0.9, 0.98))\nx = {"a": {3: 1}}\n'
    )
    assert dict(options) == {"lr": 1e-4, "optim.betas": (0.9, 0.98), "x.a.3": 1} and options.lines["optim.betas"] == 4


answers = st.sampled_from([True, False, None])


@given(answers, answers)
def test_conditions_follow_three_valued_logic(a: bool | None, b: bool | None) -> None:
    plan = Plan("x", "x", Options({}))
    left, right = (Condition(str(v), lambda _, v=v: v) for v in (a, b))  # type: ignore[misc]
    assert (left & right)(plan) is (False if False in (a, b) else None if None in (a, b) else True)
    assert (left | right)(plan) is (True if True in (a, b) else None if None in (a, b) else False)
    assert bool((left & right).open_questions(plan)) == ((left & right)(plan) is None)


# -- the command


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    path = tmp_path / "a, b.yaml"
    path.write_text(yaml.safe_dump({**OWN, "loss": {**OWN["loss"], "disc_start": 50_000, "kl_weight": 1e-12}}))
    return path


def test_exit_codes(faulty: Path) -> None:
    assert runner.invoke(app, ["lint", "video-tiny"]).exit_code == 0
    assert runner.invoke(app, ["lint", str(faulty)]).exit_code == 1
    assert runner.invoke(app, ["lint", str(faulty), "--ignore", "LNT101"]).exit_code == 0
    assert runner.invoke(app, ["lint", str(faulty), "--ignore", "LNT1", "--fail-on", "info"]).exit_code == 1
    assert runner.invoke(app, ["lint", str(faulty), "--select", "lnt302"]).exit_code == 0
    assert runner.invoke(app, ["lint", str(faulty), "--select", "XYZ"]).exit_code == 2
    assert runner.invoke(app, ["lint", str(faulty), "-f", "xml"]).exit_code == 2


def test_the_screen_names_line_code_and_change(faulty: Path) -> None:
    shown = runner.invoke(app, ["lint", str(faulty), "video-tiny"]).stdout
    line = next(n for n, text in enumerate(faulty.read_text().splitlines(), 1) if "disc_start" in text)
    assert f"{faulty}:{line}" in shown.replace("\n", "") and "critical LNT101 disc-start-beyond-end" in shown
    assert "-> loss.disc_start=10000" in shown and "nothing found (27 checks)" in shown
    assert "1 critical, 1 note. vaelab explain LNT101 says more." in shown


def test_formats_for_programs(faulty: Path) -> None:
    reports = lint(str(faulty))
    found = json.loads(to_json(reports))["reports"][0]
    assert [f["code"] for f in found["findings"]] == ["LNT101", "LNT302"] and found["trainer"] == "vaelab"
    run = json.loads(to_sarif(reports))["runs"][0]
    assert [r["ruleId"] for r in run["results"]] == ["LNT101", "LNT302"]
    assert all(run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] == r["ruleId"] for r in run["results"])
    assert run["results"][0]["locations"][0]["physicalLocation"]["region"]["startLine"] > 1
    first = to_github(reports).splitlines()[0]
    # a comma in a file's name would end the property
    assert re.match(r"::error file=\S*a%2C b\.yaml,line=\d+,title=LNT101 disc-start-beyond-end::the GAN", first)


def test_github_has_nothing_to_say_about_clean_files() -> None:
    assert runner.invoke(app, ["lint", "video-tiny", "-f", "github"]).stdout == ""


def test_standard_input_and_the_folder_of_a_run(tmp_path: Path, faulty: Path) -> None:
    shown = runner.invoke(app, ["lint", "-"], input="torchrun train_ddp.py --disc_start 0 --clip_grad_norm 1.0\n")
    assert "WF-3" in shown.stdout and shown.exit_code == 0
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text(faulty.read_text())
    assert "LNT101" in runner.invoke(app, ["lint", str(tmp_path / "run")]).stdout


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "a.yaml", "is empty"),
        (b"\xff\xfe\x00\x01", "a.yaml", "not UTF-8 text"),
        (b"a\0b: 1", "a.yaml", "not text"),
        (b"a: [1", "a.yaml", "not valid YAML"),
        (b"just words", "a.yaml", "holds no settings"),
        (b"a: 1\nb: 2", "a.yaml", "lint knows"),
        (b"x" * 3_000_000, "a.yaml", "vaelab diagnose"),
        (b"def f(:", "a.py", "lint knows"),
        (b"vae_loss_config = dict(", "a.py", "not valid Python"),
        (b"#!/bin/bash\n# train_video_vae.py is started elsewhere", "a.sh", "does not start it"),
        (b"#!/bin/bash\nls", "a.sh", "lint knows"),
        (b"loss: {kl_weigth: 1}", "a.yaml", "kl_weight"),
        (b"model: {ddconfig: {ch_mult: 3}, lossconfig: 4}\ntrainer: {lr: [1]}\ndata: 3", "a.yaml", None),
    ],
)
def test_bad_input_gets_one_sentence(content: bytes, name: str, says: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    shown = runner.invoke(app, ["lint", str(path)])
    if says is None:
        assert shown.exit_code in (0, 1, 2) and "error of vaelab's own" not in shown.stderr
        return
    assert shown.exit_code == 2 and says in shown.stderr and "Traceback" not in shown.stderr


def test_the_files_beside_a_bad_one_are_checked(faulty: Path, tmp_path: Path) -> None:
    shown = runner.invoke(app, ["lint", str(tmp_path / "none.yaml"), str(faulty)])
    assert shown.exit_code == 2 and "LNT101" in shown.stdout and "does not exist" in shown.stderr


def test_missing_and_forbidden_files(tmp_path: Path) -> None:
    for source in (str(tmp_path / "none.yaml"), str(tmp_path), "no-such-preset"):
        with pytest.raises(ConfigError):
            lint(source)


@settings(max_examples=150, deadline=None)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(
    ["model", "params", "trainer", "data", "ddconfig", "lossconfig", "disc_start", "lr", "target", "ch_mult", "bucket_config", "vae_loss_config", "loss", "optim", "kl_weight", "resolution"]), x, max_size=5), max_leaves=14))  # fmt: skip
def test_no_yaml_ends_in_a_traceback(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "a.yaml"
    path.write_text(yaml.safe_dump(data))
    try:
        lint(str(path))
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1


def test_the_screen_in_the_docs_is_what_comes_out(monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[1]
    monkeypatch.chdir(root)
    block = next(b for b in (root / "docs" / "linting.md").read_text().split("```") if "$ vaelab lint tests/data" in b)
    arguments = re.search(r"\$ vaelab (lint .*)", block)
    assert arguments
    shown = runner.invoke(app, arguments[1].split(), env={"COLUMNS": "96"}).stdout
    for line in block.split(arguments[1])[1].splitlines():
        assert line.strip() in ("", "...") or line.strip() in shown, f"docs/linting.md shows: {line}"

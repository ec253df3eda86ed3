"""The command line: options, exit codes, output formats and how it ends on errors; the library behind it is faked."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helpers_report import make_diagnosis, make_run
from vaelab.cli.app import app
from vaelab.cli.declared import declared_config
from vaelab.cli.reading import output_and_dialect
from vaelab.errors import ConfigError, LogError

SRC = Path(__file__).parent.parent / "src"
DATA = Path(__file__).parent / "data"
runner = CliRunner()


class Library:
    """Stands for readers and diagnose(); remembers how they were called."""

    def __init__(self, severities: tuple[str, ...]) -> None:
        diagnosis = make_diagnosis()
        findings = tuple(replace(diagnosis.findings[0], severity=severity) for severity in severities)
        self.diagnosis = replace(diagnosis, findings=findings)
        self.read: dict[str, Any] = {}
        self.diagnosed: dict[str, Any] = {}

    def read_all(self, paths: Any, format: Any = None, config: Any = None, progress: Any = None, **_: Any) -> list[Any]:
        self.read = {"paths": paths, "format": format, "config": config}
        if "missing.log" in paths:
            raise LogError("There is no file missing.log.")
        return [make_run()] * len(paths)

    def diagnose(self, run: Any, select: Any = (), ignore: Any = (), *, faulty_share: float) -> Any:
        self.diagnosed = {"select": select, "ignore": ignore, "faulty_share": faulty_share}
        return self.diagnosis


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    return install(monkeypatch, ("warn", "info"))


def install(monkeypatch: pytest.MonkeyPatch, severities: tuple[str, ...]) -> Library:
    library = Library(severities)
    monkeypatch.setattr("vaelab.readers.read_all", library.read_all)
    monkeypatch.setattr("vaelab.diagnosis.diagnose", library.diagnose)
    return library


@pytest.mark.parametrize(
    ("severities", "fail_on", "code"),
    [
        (("warn", "info"), None, 0),
        (("warn", "info"), "warn", 1),
        (("info",), "warn", 0),
        (("info",), "info", 1),
        ((), "info", 0),
        (("info", "critical"), None, 1),
    ],
)
def test_exit_code_tells_whether_something_is_as_bad_as_asked(
    monkeypatch: pytest.MonkeyPatch, severities: tuple[str, ...], fail_on: str | None, code: int
) -> None:
    install(monkeypatch, severities)
    result = runner.invoke(app, ["diagnose", "a.log", *(["--fail-on", fail_on] if fail_on else [])])
    assert result.exit_code == code, result.output


def test_bad_input_is_one_sentence_on_standard_error(library: Library) -> None:
    result = runner.invoke(app, ["diagnose", "missing.log"])
    assert result.exit_code == 2
    assert result.stderr == "vaelab: There is no file missing.log.\n"
    assert result.stdout == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["diagnose", "a.log", "--fail-on", "sometimes"],
        ["diagnose", "a.log", "--latent", "big"],
        ["diagnose", "a.log", "--clip", "17x256"[:2] + "x"],
        ["diagnose", "a.log", "--range", "1,-1"],
        ["diagnose", "a.log", "--channels", "0"],
        ["diagnose", "a.log", "--config", "no-such.yaml"],
        ["diagnose", "a.log", "-f", "json", "-f", "html"],
        ["diagnose", "a.log", "-f", "ldm", "--dialect", "csv"],
        ["diagnose", "a.log", "--select", "ZZZ"],
        ["report", "a.log", "--ignore", "KL,ZZZ"],
        ["rules", "-f", "html"],
        ["explain", "nonsense-topic"],
        ["compare", "a.log"],
        ["no-such-command"],
    ],
)
def test_bad_usage_ends_with_2_and_no_traceback(library: Library, arguments: list[str]) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""


def test_options_reach_the_library(library: Library, tmp_path: Path) -> None:
    config = tmp_path / "run.yaml"
    config.write_text("model:\n  loss:\n    kl_weight: 1e-6\ndisc_start: 2000\ninput_range: [0, 1]\n")
    options = (
        "--dialect pyramid-flow --select kl,ADV303 --select rec --ignore NUM --latent 16x3x32x32 --clip 256x256 "
        "--compression 8x8x8 --channels 3 --range -1,1 --faulty-share 0.1"
    )
    result = runner.invoke(app, ["diagnose", "a.log", "b.log", "--config", str(config), *options.split()])
    assert result.exit_code == 0, result.output
    assert library.read["paths"] == ["a.log", "b.log"] and library.read["format"] == "pyramid-flow"
    assert library.read["config"] == {
        "kl_weight": 1e-6,
        "disc_start": 2000,
        "latent_shape": [16, 3, 32, 32],
        "latent_channels": 16,
        "clip_shape": [1, 256, 256],
        "compression": [8, 8, 8],
        "input_channels": 3,
        "input_range": [-1.0, 1.0],
    }
    assert library.diagnosed == {"select": ("KL", "ADV303", "REC"), "ignore": ("NUM",), "faulty_share": 0.1}


@pytest.mark.parametrize("given", [["--range=-1,1"], ["--range", "-1,1"], ["--range", "[-1, 1]"]])
def test_a_negative_range_is_no_option(library: Library, given: list[str]) -> None:
    assert runner.invoke(app, ["diagnose", "a.log", *given]).exit_code == 0
    assert library.read["config"] == {"input_range": [-1.0, 1.0]}


def test_format_takes_an_output_and_a_dialect(library: Library) -> None:
    result = runner.invoke(app, ["diagnose", "a.log", "-f", "json", "-f", "radiodiff"])
    assert library.read["format"] == "radiodiff"
    assert json.loads(result.stdout)["schema"] == "vaelab.diagnosis/1"


def test_json_of_several_runs_holds_each(library: Library) -> None:
    result = runner.invoke(app, ["diagnose", "a.log", "b.log", "-f", "json"])
    assert len(json.loads(result.stdout)["runs"]) == 2


@pytest.mark.parametrize("what", ["terminal", "json", "markdown", "html", "sarif"])
def test_every_output_is_printed_or_written(library: Library, tmp_path: Path, what: str) -> None:
    printed = runner.invoke(app, ["diagnose", "a.log", "-f", what])
    target = tmp_path / "out.txt"
    written = runner.invoke(app, ["diagnose", "a.log", "-f", what, "-o", str(target)])
    assert printed.exit_code == written.exit_code == 0, printed.output + written.output
    assert written.stdout == ""
    assert printed.stdout.strip() and target.read_text(encoding="utf-8").strip()


def test_an_output_that_cannot_be_written_is_one_sentence(library: Library, tmp_path: Path) -> None:
    result = runner.invoke(app, ["diagnose", "a.log", "-f", "json", "-o", str(tmp_path / "no" / "such" / "\0.json")])
    assert result.exit_code == 2 and "Traceback" not in result.output


def test_report_writes_its_files(library: Library, tmp_path: Path) -> None:
    result = runner.invoke(app, ["report", "a.log", "-o", str(tmp_path / "report")])
    assert result.exit_code == 0, result.output
    assert {"report.md", "report.html", "diagnosis.json"} <= {p.name for p in (tmp_path / "report").iterdir()}
    assert str(tmp_path / "report" / "report.html") in result.stdout.replace("\n", "")


def test_explain_prints_the_topic_and_its_run(library: Library) -> None:
    assert "kl-weight-too-big" in runner.invoke(app, ["explain", "C2"]).stdout
    result = runner.invoke(app, ["explain", "kld", "--run", "a.log"])
    assert result.exit_code == 0 and "logged as kl_loss" in result.stdout


def test_rules_lists_every_rule() -> None:
    from vaelab.rules import ALL_RULES

    listed = json.loads(runner.invoke(app, ["rules", "-f", "json"]).stdout)
    assert [rule["code"] for rule in listed if rule["command"] == "diagnose"] == [rule.code for rule in ALL_RULES]
    assert runner.invoke(app, ["rules"]).exit_code == 0


@pytest.mark.parametrize("command", [[], ["diagnose"], ["report"], ["compare"], ["explain"], ["rules"]])
def test_help_explains_every_option(command: list[str]) -> None:
    result = runner.invoke(app, [*command, "--help"], env={"COLUMNS": "160", "TERM": "dumb"})
    assert result.exit_code == 0
    assert "Example" in result.stdout or not command


@pytest.mark.parametrize("command", [[], ["diagnose"], ["evaluate"], ["train"]])
def test_help_names_no_types_of_python(command: list[str]) -> None:
    help_text = runner.invoke(app, [*command, "--help"], env={"COLUMNS": "160", "TERM": "dumb"}).stdout
    assert "--help" in help_text and not re.search(r"<(list|str|bool|int|float|path)\b", help_text)


@pytest.mark.parametrize(
    ("command", "what"),
    [
        (["diagnose", "a.log", "--nope"], "no such option"),
        (["diagnose"], ""),
        (["diagnose", "a.log", "--fail-on", "bad"], "'bad' is not one of 'info', 'warn', 'critical'"),
        (["explain", "kl_loss", "--trainer"], "option '--trainer' requires an argument"),
        (["explain", "--trainer", "ldm"], "missing argument"),
        (["watch", "a.log", "--interval", "soon"], "invalid value for '--interval'"),
        (["lint", "a.yaml", "--format", "xml"], "'xml' is not one of text, json, sarif, github"),
        (["nope"], "no such command 'nope'"),
        (["--nope"], "no such option"),
        (["explain", "kl_loss", "twice"], "unexpected extra argument (twice)"),
    ],
)
def test_wrong_usage_is_one_sentence(command: list[str], what: str) -> None:
    result = runner.invoke(app, command)
    assert result.exit_code == 2
    if what:
        (line,) = result.output.splitlines()
        assert line.startswith("vaelab: ") and what in line and "Usage" not in line
        assert line.endswith(
            "vaelab --help lists the commands"
            if "nope" in command[0]
            else f"vaelab {command[0]} --help lists all options"
        )
    else:  # nothing was given: the help is the answer
        assert "Examples" in result.output


def test_the_help_of_train_lists_groups_and_one_group_its_settings() -> None:
    groups = runner.invoke(app, ["train", "--help"], env={"COLUMNS": "120", "TERM": "dumb"}).stdout
    assert "vaelab train --help loss" in groups and "Weight of the KL" not in groups
    loss = runner.invoke(app, ["train", "--help", "loss"]).stdout
    assert "loss.kl_weight (number >= 0; 1e-06)" in loss and "optim.lr" not in loss
    assert runner.invoke(app, ["train", "-h", "kl_weight"]).stdout.startswith("loss.kl_weight")
    assert "vaelab train --help loss" in runner.invoke(app, ["train", "video-tiny", "--help"]).stdout


def test_version() -> None:
    assert runner.invoke(app, ["--version"]).stdout.startswith("vaelab ")


def test_interrupt_is_quiet(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vaelab.readers.read_all", interrupted)
    result = runner.invoke(app, ["diagnose", "a.log"])
    assert result.exit_code == 130
    assert "Traceback" not in result.output


def test_too_little_memory_is_one_sentence(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: Any, **__: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("vaelab.readers.read_all", too_large)
    result = runner.invoke(app, ["diagnose", "a.log"])
    assert result.exit_code == 2
    assert "does not fit into memory" in result.output
    assert "Traceback" not in result.output


def test_an_error_of_our_own_is_one_sentence(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise OverflowError("math range error")

    monkeypatch.setattr("vaelab.readers.read_all", broken)
    monkeypatch.delenv("VAELAB_DEBUG", raising=False)
    result = runner.invoke(app, ["diagnose", "a.log"])
    assert result.exit_code == 2
    assert "an error of vaelab's own" in result.output and "math range error" in result.output
    assert "Traceback" not in result.output


def test_a_closed_pipe_is_quiet() -> None:
    command = [sys.executable, "-c", "from vaelab.cli import main; main()", "explain", "kl_loss"]
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout and process.stderr
    process.stdout.close()
    errors = process.stderr.read().decode()
    assert process.wait(30) == 128 + signal.SIGPIPE
    assert errors == ""


def test_help_needs_no_numpy() -> None:
    code = "import sys, vaelab.cli.app; print([m for m in ('numpy', 'pydantic', 'jinja2', 'yaml') if m in sys.modules])"
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_diagnose_loads_only_what_its_screen_needs(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("step,rec_loss,kl_loss\n" + "".join(f"{i},{1 / (i + 1):.5f},{i / 7:.5f}\n" for i in range(50)))
    heavy = (
        "torch", "pandas", "polars", "pyarrow", "scipy", "matplotlib", "PIL", "jinja2", "yaml", "jsonschema", "fsspec", "requests", "multiprocessing",
        "typer", "pydantic", "numpy.ma", "sqlite3", "zipfile", "tempfile", "importlib.metadata", "importlib.resources", "markupsafe",
        "wandb", "mlflow", "tensorboard", "starlette", "uvicorn", "rich.markdown", "rich.progress", "pygments", "vaelab.training", "vaelab.models",
        "vaelab.data", "vaelab.lint", "vaelab.live", "vaelab.web", "vaelab.probing", "vaelab.evaluation", "vaelab.report.html", "vaelab.explain",
        "vaelab.config", "vaelab.report.json_report", "vaelab.readers.tensorboard", "vaelab.readers.wandb_run", "vaelab.readers.tracked",
        "vaelab.readers.mlflow_sqlite", "vaelab.readers.key_value", "vaelab.readers.metric_logger", "vaelab.readers.remote_files",
    )  # fmt: skip
    code = (
        "import sys; from vaelab.cli import main; sys.argv[1:] = ['diagnose', sys.argv[1]]\n"
        f"try: main()\nexcept SystemExit: print([m for m in {heavy} if m in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    done = subprocess.run([sys.executable, "-c", code, str(log)], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("argument", "code", "said"),
    [("import-config", 0, "vaelab import-config"), ("diagnos", 2, "no such command 'diagnos'")],
)
def test_a_command_is_found_by_its_name(argument: str, code: int, said: str) -> None:
    command = [sys.executable, "-m", "vaelab", argument, "--help"]
    environment = {**os.environ, "PYTHONPATH": str(SRC), "COLUMNS": "120"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == code and said in done.stdout + done.stderr


def test_output_and_dialect_are_told_apart() -> None:
    assert output_and_dialect([], ("terminal", "json")) == ("terminal", None)
    assert output_and_dialect(["csv", "JSON"], ("terminal", "json")) == ("json", "csv")
    assert output_and_dialect(["csv"], ("terminal", "json"), "csv") == ("terminal", "csv")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"kl_weight: [1, 2", "not valid YAML"),
        (b"\xff\xfe\x00\x01", "not valid YAML"),
        (b"- 1\n- 2\n", "holds no settings"),
        (b"", "holds no settings"),
        (b"colour: blue\n", "no setting that vaelab knows"),
    ],
)
def test_a_config_that_says_nothing_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        declared_config(path)


def test_options_win_over_the_config_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text('{"latent_shape": [4, 32, 32], "lr": "1e-4"}')
    assert declared_config(path, latent="16x3x32x32")["latent_shape"] == [16, 3, 32, 32]
    assert declared_config(path)["lr"] == 1e-4


@pytest.mark.parametrize(
    "log", ["pf_gan.log", "rd_gan.log", "csv_lightning.csv", "tb_lightning.tfevents", "pf_nan.log"]
)
def test_a_real_log_goes_through_the_whole_command(log: str) -> None:
    path = str(DATA / log)
    worst = runner.invoke(app, ["diagnose", path, "-f", "json"])
    found = json.loads(worst.stdout)["runs"][0]["findings"]
    assert worst.exit_code == int(any(finding["severity"] == "critical" for finding in found))
    assert runner.invoke(app, ["diagnose", path, "--fail-on", "info"]).exit_code == int(bool(found))
    assert runner.invoke(app, ["compare", path, str(DATA / "pf_gan.log"), "-f", "json"]).exit_code == 0


def test_standard_input_is_read() -> None:
    content = (DATA / "pf_gan.log").read_bytes()
    environment = {**os.environ, "PYTHONPATH": str(SRC)}
    command = [sys.executable, "-c", "from vaelab.cli import main; main()", "diagnose", "-", "-f", "json"]
    done = subprocess.run(command, input=content, env=environment, capture_output=True)
    assert done.returncode in (0, 1) and json.loads(done.stdout)["runs"][0]["dialect"] == "pyramid_flow"


def test_training_refuses_a_missing_folder_before_it_loads_anything(tmp_path: Path) -> None:
    options = ["data.source=videos", f"data.path={tmp_path / 'none'}", "-o", str(tmp_path / "run")]
    said = CliRunner().invoke(app, ["train", "video-tiny", *options])
    assert "none does not exist. Check data.path" in said.output.replace("\n", " ") and "loading" not in said.output

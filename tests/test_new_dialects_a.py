"""Logs as the newer trainers print them: read in full, known for what they are, and judged fairly."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import vaelab
from dialect_generators import curves
from vaelab.diagnosis.types import Diagnosis
from vaelab.dialects import DIALECTS, bare_name, detect
from vaelab.run import Column, Run

NAMES = (
    "codeformer", "codeformer_vqgan", "detok", "eqvae", "explainingai", "keras_vae", "llamagen", "maisi", "monai",
    "monai_3d", "monai_vqvae", "omnitokenizer", "pythae", "pytorch_examples_vae", "pytorch_vae", "rae", "repae", "tats",
    "titok", "titok_stage1", "vavae", "vqfr_vqgan",
)  # fmt: skip
# logs whose steps are epochs, or say nothing of steps: what counts there is the number of rows
EPOCHS_ONLY = {"explainingai", "keras_vae", "maisi", "monai_3d", "pythae", "pytorch_examples_vae"}
# trainers told by lines that the generator's records leave out
TOLD_BY_MORE = {"pytorch_examples_vae", "titok_stage1"}


@dataclass
class Case:
    name: str
    made: ModuleType
    run: Run
    path: Path


@pytest.fixture(scope="module", params=NAMES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    made = importlib.import_module(f"dialect_generators.{request.param}")
    path = tmp_path_factory.mktemp(request.param) / f"run{made.SUFFIX}"
    path.write_text(made.log(), encoding="utf-8")
    yield Case(request.param, made, vaelab.read(path), path)


def column_of(run: Run, original: str) -> Column:
    """The column that the log calls ``original``."""
    found = [c for c in run.columns.values() if c.original.strip().lower() == original.lower()]
    assert found, f"{original} is not among {[c.original for c in run.columns.values()]}"
    return found[0]


def test_the_trainer_is_recognised_by_its_own_names_only(case: Case) -> None:
    assert case.run.trainer == (case.made.DIALECT or "unknown")


@pytest.mark.parametrize("name", sorted(set(NAMES) - TOLD_BY_MORE))
def test_the_same_columns_in_a_table_are_the_same_trainers(name: str, tmp_path: Path) -> None:
    made = importlib.import_module(f"dialect_generators.{name}")
    rows = made.records()
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [",".join(row.get(name, "") for name in names) for row in rows]
    path = tmp_path / "history.csv"
    path.write_text("\n".join([",".join(names), *lines]) + "\n", encoding="utf-8")
    run = vaelab.read(path)
    assert run.trainer == (made.DIALECT or "unknown")
    for original, metric in made.ROLES.items():
        assert column_of(run, original).name == metric


def test_every_column_is_known_for_what_it_is(case: Case) -> None:
    for original, metric in case.made.ROLES.items():
        assert column_of(case.run, original).name == metric


def test_the_values_are_those_that_were_printed(case: Case) -> None:
    rows = curves.as_read(case.made.records())
    for original in case.made.ROLES:
        column = column_of(case.run, original)
        read = column.values[column.logged]
        printed = [row[original] for row in rows if original in row]
        assert len(read) == len(printed)
        np.testing.assert_array_equal([read[0], read[-1]], [printed[0], printed[-1]])


def test_the_steps_are_those_that_were_printed(case: Case) -> None:
    steps = [int(row["step"]) for row in case.made.records()]
    original = next(iter(case.made.ROLES))
    logged = case.run.steps[column_of(case.run, original).logged]
    if case.name in EPOCHS_ONLY:
        assert bool(np.all(np.diff(logged) > 0))
    else:
        assert (int(logged[0]), int(logged[-1])) == (steps[0], steps[-1])


def test_a_healthy_run_is_neither_stopped_nor_acted_on(case: Case) -> None:
    assert vaelab.diagnose(case.run).status not in ("act", "stop")


def test_a_fault_is_not_called_healthy(case: Case, tmp_path: Path) -> None:
    for fault in case.made.FAULTS:
        path = tmp_path / f"{fault}{case.made.SUFFIX}"
        path.write_text(case.made.log(fault), encoding="utf-8")
        assert vaelab.diagnose(vaelab.read(path)).status in ("watch", "act", "stop"), fault


def test_names_in_a_dialect_are_bare() -> None:
    for dialect in DIALECTS.values():
        for name in dialect.columns:
            assert bare_name(name) == name


def test_columns_that_everybody_uses_are_nobodys() -> None:
    for names in (
        ("loss", "recon_loss", "kl_loss"),
        ("loss", "reconstruction_loss", "kl_loss"),
        ("total_loss", "rec_loss", "perceptual_loss", "disc_loss", "g_loss"),
        ("Train loss", "Eval loss"),
    ):
        assert detect(names, "key_value", {})[0] == "unknown"


def diagnosed(name: str, tmp_path: Path) -> Diagnosis:
    made = importlib.import_module(f"dialect_generators.{name}")
    path = tmp_path / f"run{made.SUFFIX}"
    path.write_text(made.log(), encoding="utf-8")
    return vaelab.diagnose(vaelab.read(path))


def test_the_total_of_vavae_closes_with_its_alignment_term(tmp_path: Path) -> None:
    identities = {i.name: i for i in diagnosed("vavae", tmp_path).facts.algebra.identities}
    total = identities["total-with-gan"]
    assert total.status == "closes" and "vf_weight x alignment_loss" in total.formula


def test_no_number_of_pixels_is_asked_of_pictures_of_several_sizes(tmp_path: Path) -> None:
    algebra = diagnosed("eqvae", tmp_path).facts.algebra
    assert "n_pixels" not in algebra.solved
    assert all(identity.status == "closes" for identity in algebra.identities)


def test_a_weighted_adversarial_term_that_sets_in_is_no_change_of_weights(tmp_path: Path) -> None:
    made = importlib.import_module("dialect_generators.vqfr_vqgan")
    rows = made.records()
    names = list(rows[-1])
    path = tmp_path / "history.csv"
    path.write_text("\n".join(",".join(row.get(n, "") for n in names) for row in [{n: n for n in names}, *rows]) + "\n")
    assert "SCH602" not in {finding.code for finding in vaelab.diagnose(vaelab.read(path)).findings}

"""Hypothesis: new examples at every run by hand, the same ones at every run of CI. Ctrl-C reaches the processes of tests.
What several files of tests need and takes seconds to make."""

import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

import write_tracker_runs

# no deadline: a busy machine is slow, not wrong
settings.register_profile("local", deadline=None)
settings.register_profile("ci", derandomize=True, deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

# a shell ignores Ctrl-C for what it starts in the background, and every process that tests start would inherit that
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def tracker_runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of runs that a tracker's own library wrote (``wandb``, ``mlflow``, ``comet``, ``trackio``); who changes a file copies it first."""

    @cache
    def written(library: str) -> Path:
        folder = tmp_path_factory.mktemp(library)
        write_tracker_runs.write(library, folder)
        return folder

    return written

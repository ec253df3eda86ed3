"""Where the ``vaelab`` command begins. A call without options needs no parser of them, which takes longer than a short log."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Sequence

# what start-up makes stays; to look through it every 700 objects takes a tenth of a short run
OBJECTS_BEFORE_GC = 100_000


def main() -> None:
    """Entry point of the ``vaelab`` script."""
    gc.set_threshold(OBJECTS_BEFORE_GC)
    if sys.argv[1:2] == ["diagnose"]:
        # it has no large matrices, and numpy would start a thread for every core
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        # nor is there anything to be found at the end by looking through all objects once more, a seventh of the time of a short log
        atexit.register(gc.freeze)
    if sys.argv[1:2] == ["diagnose"] and _only_paths(sys.argv[2:]) and "_VAELAB_COMPLETE" not in os.environ:
        _diagnose(sys.argv[2:])
    else:
        from vaelab.cli.app import run

        run()


def _only_paths(arguments: Sequence[str]) -> bool:
    return bool(arguments) and all(argument == "-" or not argument.startswith("-") for argument in arguments)


def _diagnose(paths: Sequence[str]) -> None:
    """What ``vaelab.cli.diagnose`` does where no option is given."""
    from vaelab.cli.ending import ends_with_a_sentence
    from vaelab.cli.judging import diagnose_paths, fails, print_diagnoses

    with ends_with_a_sentence():
        diagnoses = diagnose_paths(paths)
        print_diagnoses(diagnoses)
    sys.exit(fails(diagnoses))

"""The process that runs Sionna RT: its start with a usable LLVM, questions and answers, and its end in one sentence."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vaelab.errors import DataError

WORKER = Path(__file__).with_name("sionna_worker.py")
LLVM_VARIABLE = "DRJIT_LIBLLVM_PATH"
# With LLVM 15 and 16 the process is aborted at the first map; 14 is refused (tried with drjit 1.5.0).
OLDEST_LLVM = 19
_LLVM_FILE = re.compile(r"libLLVM(?:-|\.so\.)?(\d+)?(?:\.\d+)*(?:\.so|\.dylib)?(?:\.[\d.]+)?")
_LLVM_PLACES = (
    "/usr/lib/*/libLLVM*",
    "/usr/lib/libLLVM*",
    "/usr/lib64/libLLVM*",
    "/usr/lib/llvm-*/lib/libLLVM*",
    "/usr/lib64/llvm*/lib/libLLVM*",
    "/usr/local/lib/libLLVM*",
    "/opt/homebrew/opt/llvm*/lib/libLLVM*.dylib",
    "/usr/local/opt/llvm*/lib/libLLVM*.dylib",
)
# Runs a script without its folder on the module path: that folder has a module named types.
_RUN = "import runpy, sys; runpy.run_path(sys.argv[1], run_name='__main__')"


def find_llvm(files: Iterable[Path] | None = None) -> Path | None:
    """The newest LLVM library of at least version 19 in the usual places (or among ``files``), or None."""
    if files is None:
        files = [file for place in _LLVM_PLACES for file in Path("/").glob(place.lstrip("/"))]
    found = [(llvm_version(file.name), file) for file in files]
    usable = [(version, str(file)) for version, file in found if version is not None and version >= OLDEST_LLVM]
    return Path(max(usable)[1]) if usable else None


def llvm_version(name: str) -> int | None:
    """Major version in the name of a library: ``libLLVM.so.19.1``, ``libLLVM-19.so``, ``libLLVM-15.so.1``, else None."""
    match = _LLVM_FILE.fullmatch(name)
    return int(match[1]) if match and match[1] else None


class SionnaProcess:
    """Sionna RT in a process of its own; use it in a ``with`` statement.

    Raises:
        DataError: at the first question, if sionna-rt is not installed, or if the process ends by itself.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="vaelab-")
        self._file = Path(self._folder.name) / "array.npy"
        self._messages = (Path(self._folder.name) / "messages.txt").open("w+b")
        environment = dict(os.environ)
        llvm = find_llvm()
        if llvm is not None:
            environment.setdefault(LLVM_VARIABLE, str(llvm))
        self._llvm = environment.get(LLVM_VARIABLE)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _RUN, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env=environment,
            text=True,
        )

    def __enter__(self) -> SionnaProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._messages.close()
        self._folder.cleanup()

    def bounds(self, scene: str) -> tuple[list[float], list[float]]:
        """Lowest and highest (x, y) of a scene, in m."""
        answer = self._ask(do="bounds", scene=scene)
        return answer["low"], answer["high"]

    def heights(self, **area: Any) -> np.ndarray:
        """Heights in m, float32 (cells, cells), of an area: scene, centre, size, cells."""
        self._ask(do="heights", file=str(self._file), **area)
        return np.asarray(np.load(self._file))

    def trace(self, **request: Any) -> np.ndarray:
        """Path gain (linear), float32 (cells, cells): an area, tx (x, y, z in m), frequency, rays, depth."""
        self._ask(do="trace", file=str(self._file), **request)
        return np.asarray(np.load(self._file))

    def _ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # its answer or its end says why
        line = self._process.stdout.readline()
        if not line:
            raise DataError(self._end())
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            raise DataError(
                f"Ray tracing needs the package sionna-rt ({answer['missing']}). Install it: pip install 'vaelab[radio]'"
            )
        return answer

    def _end(self) -> str:
        """Why the process ended."""
        code = self._process.wait()
        self._messages.seek(0)
        lines = [line for line in self._messages.read().decode(errors="replace").splitlines() if line.strip()]
        last = lines[-1].strip()[:300] if lines else "it printed nothing"
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        if code < 0 or any("llvm" in line.lower() for line in lines):
            return (
                f"Sionna RT ended with {how} ({last}). The usual cause on a CPU is an LLVM library older than"
                f" {OLDEST_LLVM}; used was {self._llvm or 'the one that drjit found'}. Install a newer one (Debian,"
                f" Ubuntu: apt-get install libllvm{OLDEST_LLVM}), or set {LLVM_VARIABLE} to the library's file."
            )
        return f"Sionna RT ended with {how}: {last}"

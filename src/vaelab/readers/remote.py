"""Remote: what an address names is copied to a temporary folder and read there, so that no reader knows of networks.

A copy is brought up to date with little traffic: of a log that has grown, only what was added is fetched. Texts that name
the folder (sources, notes, errors) are put back into the words of the address. What a copy costs: the bytes of the logs
that are read, on disk and never in memory, until the reading is over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from weakref import WeakSet

from vaelab.errors import LogError
from vaelab.patterns import pattern
from vaelab.readers.addresses import failure, is_address, scheme_of, shown
from vaelab.run import ReadNote, Run

__all__ = ["Copy", "close_all", "copy_of", "is_address", "local_copies", "shown"]

Progress = Callable[[int, int | None], None]

_MLFLOW_PAGE = pattern(r"https?://.*/#/(?:experiments/|runs/)")
_WANDB_PAGE = pattern(r"https?://(?:[^/]*@)?(?:api\.)?wandb\.ai/")


_OPEN: WeakSet[Copy] = WeakSet()


def close_all() -> None:
    """Delete all copies: for a process that is about to end without its usual tidying."""
    for copy in list(_OPEN):
        copy.close()


class Copy:
    """A local copy of what an address names.

    shown: the address without secrets. folder: where the copy is. path: what is read instead of the address: a file, a
    folder or a pattern below ``folder``. prefix: what stands in the address for ``folder``. problems: one sentence for each
    file in a remote folder that was not copied.
    """

    def __init__(self, address: str, prefix: str, inside: str) -> None:
        """inside: the path below ``folder``; with ``prefix`` before it, it is the address."""
        import tempfile  # with all that it needs, which a log on this machine does not

        self.address, self.shown = address, shown(address)
        self._temporary = tempfile.TemporaryDirectory(prefix="vaelab-")
        self.folder = Path(self._temporary.name).resolve()
        self._prefix = prefix
        self.path = f"{self.folder}/{inside}"
        self.problems: list[str] = []
        _OPEN.add(self)

    def update(self, progress: Progress | None = None) -> None:
        """Fetch what is new. Raises LogError with one sentence; what was fetched before stays."""
        try:
            self._fetch(progress)
        except Exception as error:  # the clients of a dozen services raise what they like
            raise failure(error, self.address) from None

    def _fetch(self, progress: Progress | None) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Delete the copy."""
        self._temporary.cleanup()

    def named(self, text: str) -> str:
        """``text`` with addresses instead of paths in the copy."""
        return text.replace(f"{self.folder}/", self._prefix).replace(str(self.folder), self._prefix)

    def local(self, text: str) -> str:
        """The path in the copy of a source that ``named`` has named."""
        return text.replace(self._prefix, f"{self.folder}/", 1) if text.startswith(self._prefix) else text

    def named_run(self, run: Run) -> Run:
        """The run with addresses in its source and in its notes."""
        notes = tuple(replace(note, text=self.named(note.text)) for note in run.notes)
        return replace(run, source=self.named(run.source), notes=notes)


def copy_of(address: str, *, all_of_it: bool = False) -> Copy:
    """An empty copy, for what serves the address: a tracker, or anything that fsspec knows.

    all_of_it: files that do not look like logs are fetched too, where they are named. Raises LogError if the address cannot
    be understood, or the packages for it are not installed.
    """
    try:
        scheme = scheme_of(address)
        if scheme == "wandb" or _WANDB_PAGE.match(address):
            from vaelab.readers.tracker_servers import WandbCopy

            return WandbCopy(address)
        if scheme.startswith("mlflow") or _MLFLOW_PAGE.match(address):
            from vaelab.readers.tracker_servers import MlflowCopy

            return MlflowCopy(address)
        from vaelab.readers.remote_files import FilesCopy

        return FilesCopy(address, all_of_it)
    except Exception as error:  # connecting may already fail in as many ways as reading
        raise failure(error, address) from None


@contextmanager
def local_copies(
    paths: Sequence[str | Path], all_of_it: bool, progress: Progress | None
) -> Iterator[tuple[list[str | Path], Callable[[Sequence[Run]], list[Run]]]]:
    """The paths with a copy in place of each address, and what names the runs that were read from them.

    A LogError that leaves the block speaks of addresses too.
    """
    local: list[str | Path] = []
    copies: list[Copy] = []
    with ExitStack() as stack:
        for path in paths:
            if not is_address(path):
                local.append(path)
                continue
            copy = copy_of(str(path), all_of_it=all_of_it)
            stack.callback(copy.close)
            copy.update(progress)
            copies.append(copy)
            local.append(copy.path)

        def named(runs: Sequence[Run]) -> list[Run]:
            for copy in copies:
                runs = [copy.named_run(run) for run in runs]
            problems = [ReadNote("unreadable", 1, problem) for copy in copies for problem in copy.problems]
            first = [replace(run, notes=(*run.notes, *problems)) for run in runs[:1]]
            return [*first, *runs[1:]]

        try:
            yield local, named
        except LogError as error:
            text = str(error)
            for copy in copies:
                text = copy.named(text)
            raise type(error)(text) from None

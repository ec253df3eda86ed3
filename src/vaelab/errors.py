"""Errors that a person reads: each says what happened, where, and what to do next."""

import re

_OBJECT = re.compile(r" ?<[^<>]*\bat 0x[0-9a-fA-F]+[^<>]*>")


def without_addresses(text: object) -> str:
    """``text`` without Python's names of objects (``<_io.BytesIO object at 0x7f...>``), which differ from run to run and tell a
    person nothing."""
    plain, count = str(text), 1
    while count:  # one may hold another
        plain, count = _OBJECT.subn("", plain)
    return plain


def reason(error: BaseException, length: int = 200) -> str:
    """What another library says in ``error``, in one line of at most ``length`` characters; its class where it says nothing."""
    said = getattr(error, "strerror", None) or error
    return " ".join(without_addresses(said).split())[:length] or type(error).__name__


class VaelabError(Exception):
    """Base of every error that the command line prints as one sentence (exit code 2)."""

    def __init__(self, text: str) -> None:
        super().__init__(without_addresses(text))


class LogError(VaelabError):
    """A log cannot be read: missing, empty, binary, no permission, or no metrics in it."""


def own_error(what: str, error: Exception) -> LogError:
    """What to say of one log among others at which vaelab itself fails, so that the others are still judged.

    what: the log and what cannot be done with it, as in ``train.log cannot be read``.
    """
    if isinstance(error, MemoryError):
        return LogError(f"{what}: it does not fit into memory (its values take about as much as the file).")
    return LogError(
        f"{what}, an error of vaelab's own ({type(error).__name__}: {error}): please report it with the log."
    )


class NoLogError(LogError):
    """There is nothing that looks like a log."""


class ConfigError(VaelabError):
    """A declared value (``--config``, ``--latent``, ``--clip``) cannot be understood."""


class ArgumentError(ConfigError, ValueError):
    """An argument given to a function of vaelab is of another kind than it takes."""


class DataError(VaelabError):
    """Training data cannot be used: missing, empty, of another kind, or too many files that cannot be decoded."""


class TrainError(VaelabError):
    """A training run cannot start or go on."""


class CheckpointError(VaelabError):
    """A checkpoint is missing, incomplete or of another run."""

"""Errors that a person reads: each says what happened, where, and what to do next."""


class VaelabError(Exception):
    """Base of every error that the command line prints as one sentence (exit code 2)."""


class LogError(VaelabError):
    """A log cannot be read: missing, empty, binary, no permission, or no metrics in it."""


class ConfigError(VaelabError):
    """A declared value (``--config``, ``--latent``, ``--clip``) cannot be understood."""


class DataError(VaelabError):
    """Training data cannot be used: missing, empty, of another kind, or too many files that cannot be decoded."""


class TrainError(VaelabError):
    """A training run cannot start or go on."""


class CheckpointError(VaelabError):
    """A checkpoint is missing, incomplete or of another run."""

"""Errors that a person reads: each says what happened, where, and what to do next."""


class VaelabError(Exception):
    """Base of every error that the command line prints as one sentence (exit code 2)."""


class LogError(VaelabError):
    """A log cannot be read: missing, empty, binary, no permission, or no metrics in it."""


class ConfigError(VaelabError):
    """A declared value (``--config``, ``--latent``, ``--clip``) cannot be understood."""

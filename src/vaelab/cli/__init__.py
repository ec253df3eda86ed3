"""The command line: one file per command, each only reads options, calls the library and prints."""

from __future__ import annotations

from vaelab.cli.start import main

__all__ = ["main"]

"""The command line: one file per command, each only reads options, calls the library and prints."""

from __future__ import annotations

from vaelab.cli.app import app, main

__all__ = ["app", "main"]

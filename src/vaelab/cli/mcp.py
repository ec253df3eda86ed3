"""``vaelab mcp``: a Model Context Protocol server, so that an agent can ask about training runs."""

from __future__ import annotations

import os
import signal
import sys
from typing import Annotated

import typer

from vaelab.cli.declared import declared_config
from vaelab.cli.diagnose import Channels, Clip, Compression, ConfigFile, Latent, Map, Range
from vaelab.errors import ConfigError

INTERRUPTED = 130


def mcp(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDER",
            show_default=False,
            help="Folders (or log files, or addresses) that may be read, with all below them; without one, the current folder.",
        ),
    ] = None,
    config: ConfigFile = None,
    latent: Latent = None,
    clip: Clip = None,
    compression: Compression = None,
    channels: Channels = None,
    input_range: Range = None,
    roles: Map = None,
) -> None:
    """Let an agent (an MCP client) list, diagnose, explain and compare the runs in some folders. It only reads.

    The client starts this command and talks to it over standard input and output. For most clients this entry does it:

    `{"mcpServers": {"vaelab": {"command": "vaelab", "args": ["mcp", "/path/to/runs"]}}}`

    What is declared here (**--latent**, **--clip** ...) holds for all runs.
    """
    declared = declared_config(config, latent, clip, compression, channels, input_range, roles)
    try:
        from vaelab.integrations.mcp_server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in ("mcp", "mcp_types"):
            raise
        raise ConfigError("vaelab mcp needs the package mcp, version 2: pip install 'vaelab[mcp]'.") from None
    if sys.stdin.isatty():
        print(
            "vaelab mcp waits for an MCP client on standard input; see vaelab mcp --help. Ctrl-C ends it.",
            file=sys.stderr,
        )
    signal.signal(signal.SIGINT, _end)
    serve(folders or ["."], declared)


def _end(*_: object) -> None:
    """Nothing has to be saved, and the SDK's thread that waits for a line on standard input cannot be woken."""
    from vaelab.readers.remote import close_all

    close_all()
    os._exit(INTERRUPTED)

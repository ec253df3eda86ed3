"""Serves the live page: binds the address, says where the page is, and ends quietly on Ctrl-C."""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
import webbrowser
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType

import h11
import uvicorn
from rich.console import Console
from sse_starlette.sse import AppStatus
from uvicorn.protocols.http.h11_impl import H11Protocol

from vaelab.errors import ConfigError
from vaelab.live import Change, Watcher
from vaelab.web.app import create_app
from vaelab.web.guard import checked_token, is_loopback
from vaelab.web.poller import Poller

PORT = 8765
STOP_SECONDS = 3

REQUEST_SECONDS = 20.0
"""A connection that has not sent a whole request after so long is closed."""

MOST_CONNECTIONS = 1000
"""Requests beyond them are answered with 503. Fewer where the system allows fewer open files."""

OTHER_FILES = 100  # open files that are no connections: logs, libraries, previews


class Server:
    """A live page that runs in a thread, for notebooks and tests: ``with Server(watcher) as server: server.url``.

    The arguments are those of ``serve``. Raises ConfigError if the address cannot be used or the token is too short.
    """

    def __init__(
        self,
        watcher: Watcher,
        host: str = "127.0.0.1",
        port: int = PORT,
        token: str | None = None,
        interval: float = 1.0,
        on_changes: Callable[[Sequence[Change]], None] | None = None,
    ) -> None:
        self.token = checked_token(host, token)
        self.socket = _bound(host, port)
        self.host, self.port = host, int(self.socket.getsockname()[1])
        self.poller = Poller(watcher, interval, on_changes)
        # the feed ends its own streams; the library's flag would stay set for the next server of this process
        AppStatus.disable_automatic_graceful_drain()
        config = uvicorn.Config(
            create_app(self.poller, host, self.port, self.token), log_level="warning", access_log=False,
            server_header=False, lifespan="on", ws="none", timeout_graceful_shutdown=STOP_SECONDS,
            http=_Protocol, limit_concurrency=most_connections(),
        )  # fmt: skip
        self._server = _Uvicorn(config, self.poller)
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address to open, with the token if one is needed."""
        name = self.host
        if name in ("0.0.0.0", "::", ""):
            name = socket.gethostname()
        name = f"[{name}]" if ":" in name else name
        return f"http://{name}:{self.port}/" + (f"?token={self.token}" if self.token else "")

    def run(self) -> None:
        """Serve until Ctrl-C or ``stop``."""
        self._server.run(sockets=[self.socket])

    def start(self) -> Server:
        """Serve in a thread."""
        self._thread = threading.Thread(target=self.run, name="vaelab-web", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """End all streams and the server; the port is free afterwards."""
        self.poller.feed.close()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
        self.socket.close()

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def serve(
    watcher: Watcher,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    open_browser: bool = False,
    interval: float = 1.0,
    on_changes: Callable[[Sequence[Change]], None] | None = None,
) -> None:
    """Serve the live page of the runs of ``watcher`` until Ctrl-C, which raises KeyboardInterrupt as everywhere.

    host: an address of this machine. On any but loopback a token is needed; one is made if none is given. port: 0 takes a
    free one. interval: seconds between polls. on_changes: gets what the watcher reports, for alerts.
    Raises ConfigError if the address cannot be used or the token is too short.
    """
    server = Server(watcher, host, port, token, interval, on_changes)
    console = Console(stderr=True, highlight=False)
    console.print(f"The live page: [bold]{server.url}[/bold]", soft_wrap=True)
    if is_loopback(host):
        console.print(
            "Only this machine can open it. To open the same address on another one, run there: "
            f"ssh -L {server.port}:127.0.0.1:{server.port} {socket.gethostname()}",
            soft_wrap=True,
        )
    else:
        console.print(
            "Who has this address can see the runs, and nothing encrypts the way: use it in a network that you trust.",
            soft_wrap=True,
        )
    console.print("Ctrl-C ends it.")
    if open_browser:
        threading.Timer(0.5, webbrowser.open, [server.url]).start()
    try:
        server.run()
    finally:
        server.stop()


def most_connections() -> int:
    """``MOST_CONNECTIONS``, or what the limit on open files leaves: beyond it connections would not even be answered."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return MOST_CONNECTIONS
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        MOST_CONNECTIONS if allowed == resource.RLIM_INFINITY else max(1, min(MOST_CONNECTIONS, allowed - OTHER_FILES))
    )


class _Protocol(H11Protocol):
    """Closes a connection whose request does not come: uvicorn waits for one for ever."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._stop_waiting()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Uvicorn(uvicorn.Server):
    """Ends the event streams on Ctrl-C before it waits for connections to close."""

    def __init__(self, config: uvicorn.Config, poller: Poller) -> None:
        super().__init__(config)
        self._feed = poller.feed

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._feed.close()
        super().handle_exit(sig, frame)


def _bound(host: str, port: int) -> socket.socket:
    """A socket bound to the address. Raises ConfigError with what to do if that fails."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host or "0.0.0.0", port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, OverflowError, UnicodeError):
        raise ConfigError(
            f"--host {host} --port {port} is no address: leave --host out for this machine only, or give 0.0.0.0 for all"
            " networks; a port is a number from 0 to 65535."
        ) from None
    bound = socket.socket(family, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        # who connects before the server runs waits instead of being refused
        bound.listen(512)
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigError(
                f"--host {host} is not this machine: leave it out for this machine only, or give 0.0.0.0 for all networks."
            ) from None
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}. Choose another --port; --port 0 takes a free one."
        ) from None
    bound.set_inheritable(False)
    return bound

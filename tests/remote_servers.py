"""Servers of this machine's loopback, for reading from anywhere: S3, SSH and the web, on free ports, ended with the test."""

from __future__ import annotations

import asyncio
import getpass
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncssh
import pytest

BOUND = 60  # seconds for a server to be ready


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on port {port}")


# S3 --------------------------------------------------------------------------------------------------------------------


@contextmanager
def s3_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """moto's server with an empty bucket ``runs``; gives boto3's client, the environment is set for every other client."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        wait_for(port)
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}",
            "AWS_ACCESS_KEY_ID": "AKIDTEST",
            "AWS_SECRET_ACCESS_KEY": "verysecretkey",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }.items():
            monkeypatch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="runs")
        yield client
    finally:
        server.stop()


# SSH -------------------------------------------------------------------------------------------------------------------


@contextmanager
def ssh_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """An SSH server that lets a throwaway key in; gives its port. The client's home is ``folder/home``.

    OpenSSH's where it is installed (``make test`` does that), else asyncssh's.
    """
    keys = folder / "home" / ".ssh"
    keys.mkdir(parents=True, mode=0o700)
    for name in (folder / "host_key", keys / "id_ed25519"):
        key = asyncssh.generate_private_key("ssh-ed25519")
        key.write_private_key(str(name))
        key.write_public_key(f"{name}.pub")
        name.chmod(0o600)
    shutil.copy(keys / "id_ed25519.pub", folder / "authorized_keys")
    port, program = free_port(), shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    host_key = (folder / "host_key.pub").read_text().split()[:2]
    (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {' '.join(host_key)}\n")
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with _openssh(Path(program), folder, port) if program else _asyncssh(folder, port):
        wait_for(port)
        yield port


@contextmanager
def _openssh(program: Path, folder: Path, port: int) -> Iterator[None]:
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # it wants this empty folder when root starts it
    settings = folder / "sshd_config"
    settings.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
        f"PermitRootLogin prohibit-password\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
    )
    command = [str(program), "-D", "-e", "-f", str(settings)]
    with (folder / "sshd.log").open("w") as log, subprocess.Popen(command, stderr=log) as server:
        try:
            yield
        finally:
            server.terminate()


@contextmanager
def _asyncssh(folder: Path, port: int) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def listen() -> asyncssh.SSHAcceptor:
        return await asyncssh.listen(
            "127.0.0.1",
            port,
            server_host_keys=[str(folder / "host_key")],
            authorized_client_keys=str(folder / "authorized_keys"),
            sftp_factory=True,
        )

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(BOUND)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(BOUND)


def login() -> str:
    return getpass.getuser()


# The web ---------------------------------------------------------------------------------------------------------------


class Web:
    """files: what is served, by path. asked: (path, Range header) of every GET. ranges: whether ranges are served.
    key: what the query must be, if anything."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges, self.key, self.port = True, "", 0


@contextmanager
def web_server() -> Iterator[Web]:
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(False)

        def do_GET(self) -> None:
            web.asked.append((self.path, self.headers.get("Range")))
            self._answer(True)

        def _answer(self, with_body: bool) -> None:
            address = urlsplit(self.path)
            content, status = web.files.get(unquote(address.path), None), 200
            if content is None or (web.key and address.query != web.key):
                content, status = b"", 403 if content is not None else 404
            whole = len(content)
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            first, end = 0, whole
            if wanted and web.ranges and status == 200:
                first, end, status = int(wanted[1]), min(whole, int(wanted[2] or whole) + 1), 206
            self.send_response(status)
            if web.ranges:
                self.send_header("Accept-Ranges", "bytes")
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{end - 1}/{whole}")
            self.send_header("Content-Length", str(end - first))
            self.end_headers()
            if with_body:
                self.wfile.write(content[first:end])

        def log_message(self, *_: object) -> None:
            pass

    with _serving(Handler) as web.port:
        yield web


@contextmanager
def listing_server(folder: Path) -> Iterator[str]:
    """Python's own server of a folder, which lists folders, serves no ranges and says nothing of them; gives its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with _serving(partial(Quiet, directory=str(folder))) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _serving(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(BOUND)

"""Stand-ins for the Hugging Face Hub and for Google's storage: the few documented REST calls that reading files needs."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

Files = dict[str, bytes]
Answer = tuple[int, Any]  # status, and bytes (ranges are cut from them) or what is sent as JSON
NO = (404, {"error": "not found"})


@contextmanager
def _serving(answer: Callable[[str, dict[str, list[str]], bytes], Answer]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.do_GET()

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            place = urlsplit(self.path)
            status, content = answer(unquote(place.path), parse_qs(place.query), sent)
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            whole = len(body)
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
            if wanted and isinstance(content, bytes):
                first, last = int(wanted[1]), min(whole - 1, int(wanted[2] or whole))
                body, status = body[first : last + 1], 206
            self.send_response(status)
            if status == 206:
                self.send_header("Content-Range", f"bytes {first}-{last}/{whole}")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Type", "application/json")
            self.send_header("X-Repo-Commit", "c0ffee")
            self.send_header("ETag", '"1"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)


@contextmanager
def hub(files: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The data set ``me/vae`` with these files."""

    def about(path: str) -> list[dict[str, Any]]:
        if path in files:
            return [{"type": "file", "path": path, "size": len(files[path]), "oid": str(hash(files[path]))}]
        inside = any(name.startswith(f"{path}/") for name in files)
        return [{"type": "directory", "path": path, "oid": "1"}] if inside else []

    def answer(path: str, query: dict[str, list[str]], sent: bytes) -> Answer:
        repository = "/api/datasets/me/vae"
        if path in (repository, f"{repository}/revision/main"):
            return 200, {"id": "me/vae", "sha": "c0ffee", "private": False, "tags": [], "downloads": 0, "likes": 0}
        if path == f"{repository}/paths-info/main":
            asked = json.loads(sent) if sent.startswith(b"{") else parse_qs(sent.decode())
            return 200, [entry for name in asked["paths"] for entry in about(name)]
        if match := re.fullmatch(f"{repository}/tree/main/?(.*)", path):
            folder = f"{match[1]}/" if match[1] else ""
            below = [name.removeprefix(folder) for name in files if name.startswith(folder)]
            if not below:
                return NO
            deep = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            names = {n for n in below} | {n.rpartition("/")[0] for n in below if "/" in n}
            names = names if deep else {n.partition("/")[0] for n in below}
            return 200, [entry for name in sorted(names) for entry in about(folder + name)]
        name = path.removeprefix("/datasets/me/vae/resolve/main/")
        return (200, files[name]) if name in files else NO

    with _serving(answer) as address:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
        )
        yield


@contextmanager
def google(files: Files, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The bucket ``runs`` with these files."""

    def item(name: str) -> dict[str, Any]:
        return {"name": name, "bucket": "runs", "size": str(len(files[name])), "updated": "2025-01-01T00:00:00Z",
                "timeCreated": "2025-01-01T00:00:00Z", "generation": "1", "etag": "1", "kind": "storage#object"}  # fmt: skip

    def answer(path: str, query: dict[str, list[str]], sent: bytes) -> Answer:
        match = re.fullmatch(r"(?:/download)?/storage/v1/b/runs/o(?:/(.*))?", path)
        if match is None:
            return NO
        if match[1]:
            if match[1] not in files:
                return NO
            return 200, files[match[1]] if query.get("alt") == ["media"] else item(match[1])
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        names = [name for name in files if name.startswith(prefix)]
        ends = {name: name.find(delimiter, len(prefix)) if delimiter else -1 for name in names}
        folders = sorted({name[: end + 1] for name, end in ends.items() if end >= 0})
        return 200, {"items": [item(n) for n, end in ends.items() if end < 0], "prefixes": folders}

    with _serving(answer) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        yield

"""Who may see the page: the Host header, the token, and the headers that keep a browser from doing what a log asks."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vaelab.errors import ConfigError

SHORTEST_TOKEN = 8
HEADERS = {
    # no inline script, nothing from elsewhere; style attributes place the phases on their strip
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self';"
    " img-src 'self' data:; media-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_ASK = "This page needs its token: open the whole address that vaelab printed when it started, with ?token=... at its end.\n"
_WRONG_HOST = (
    "This name of the machine is not served, so that another site's page cannot read your runs (DNS rebinding). Open the"
    " page as http://localhost or http://127.0.0.1 with the port, through ssh -L if need be.\n"
)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def checked_token(host: str, token: str | None) -> str | None:
    """The token to ask for: the given one; a new one for a host that others can reach; None for loopback without one.

    Raises ConfigError for a token that is easily guessed or does not fit into a cookie.
    """
    if token is None:
        return None if is_loopback(host) else secrets.token_urlsafe(24)
    if len(token) < SHORTEST_TOKEN or not all(c.isascii() and (c.isalnum() or c in "-._~") for c in token):
        raise ConfigError(
            f"--token needs at least {SHORTEST_TOKEN} letters, digits, dots, dashes, tildes or underscores; leave it out and"
            " one is made."
        )
    return token


class Guard:
    """ASGI middleware. host: the address that is listened on; port: for the cookie's name, because browsers share the
    cookies of all ports of a host."""

    def __init__(self, app: ASGIApp, host: str, port: int, token: str | None) -> None:
        self.app, self.token = app, token
        self.cookie = f"vaelab-{port}"
        # with a token, another site's page has no cookie for its name, so any name may be used
        self.names = None if token else {host.lower(), "localhost", "127.0.0.1", "::1"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        answer = self._refusal(scope)
        await (answer or self.app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to who may not see the page, and to who brings the token for the first time; None for all others."""
        headers = Headers(scope=scope)
        if self.names is not None and _host_name(headers.get("host", "")) not in self.names:
            return PlainTextResponse(_WRONG_HOST, 421)
        if self.token is None:
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name == "token" and self._is_token(value) for name, value in query):
            return self._welcome(scope["path"], query)
        cookie = cookie_parser(headers.get("cookie", "")).get(self.cookie, "")
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        if self._is_token(cookie) or (scheme.lower() == "bearer" and self._is_token(bearer)):
            return None
        return PlainTextResponse(_ASK, 401)

    def _welcome(self, path: str, query: list[tuple[str, str]]) -> Response:
        """Keep the token in a cookie and take it out of the address, where it would be copied along."""
        rest = urlencode([item for item in query if item[0] != "token"])
        # relative, so that it never leaves this server and stays under the prefix of a proxy
        answer = RedirectResponse(f"./{path.rpartition('/')[2]}{'?' if rest else ''}{rest}", 303)
        answer.set_cookie(self.cookie, self.token or "", httponly=True, samesite="lax", path="/")
        return answer

    def _is_token(self, text: str) -> bool:
        """In constant time, so that the token cannot be guessed letter by letter."""
        return hmac.compare_digest(text.encode("utf-8", "replace"), (self.token or "").encode())


def _host_name(host: str) -> str:
    """``[::1]:8765`` -> ``::1``, ``localhost:8765`` -> ``localhost``."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.rpartition(":")[0] if ":" in name else name

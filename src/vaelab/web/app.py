"""The addresses of the live page: the page itself, the state as events, one run, points of a plot, comparison, previews."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from vaelab.report.charts import not_finite, points
from vaelab.report.compare_page import compare_page
from vaelab.report.html import static as report_static
from vaelab.report.html import to_html
from vaelab.web.compared import AXES, MOST_RUNS, compared_points, comparison
from vaelab.web.guard import Guard
from vaelab.web.poller import Poller
from vaelab.web.run_files import KINDS
from vaelab.web.views import RunView, templates

ALIVE_SECONDS = 15
"""Every page hears from the server at least this often, so that it notices a connection that died silently."""

SEND_TIMEOUT = 30.0
"""A page that takes nothing for so many seconds is disconnected; it may connect again."""

# a page with its scripts in it: its own policy, in its head, lets none but those run
WHOLE_PAGE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}

MOST_METRICS = 8
LEAST_POINTS, MOST_POINTS = 10, 20_000  # of one answer
_SHARED = ("uPlot.iife.min.js", "uPlot.min.css", "report.css", "dark.css", "chart-drawing.js", "charts.js", "wipe.js")
_OWN = ("live.css", "theme.js", "live.js", "run-list.js", "run-page.js", "point-loader.js",
        "previews.js", "feed.js", "feed-worker.js")  # fmt: skip
_TYPES = {"js": "text/javascript", "css": "text/css"}


def create_app(poller: Poller, host: str, port: int, token: str | None) -> Starlette:
    """The ASGI application. host, port, token: for ``Guard``."""
    pages = _Pages(poller)
    routes = [
        Route("/", pages.page),
        Route("/static/{name}", pages.static),
        Route("/events", pages.events),
        Route("/runs/{run}", pages.run),
        Route("/runs/{run}/points", pages.points),
        Route("/runs/{run}/report.html", pages.report),
        Route("/runs/{run}/previews/{step:int}.{kind}", pages.preview),
        Route("/compare", pages.compare),
        Route("/compare.html", pages.table),
        Route("/compare/points", pages.compared_points),
    ]

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        poller.feed.attach()
        poller.start()
        yield
        poller.stop()

    return Starlette(
        routes=routes,
        middleware=[
            Middleware(Guard, host=host, port=port, token=token),
            Middleware(GZipMiddleware, minimum_size=2000, compresslevel=3),
        ],
        exception_handlers={HTTPException: _problem},
        lifespan=lifespan,
    )


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code)


class _Pages:
    """The answers. Those that lay something out are plain functions, which Starlette runs in threads."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        texts = {name: report_static(name) for name in _SHARED}
        texts |= {name: (resources.files("vaelab.web") / "static" / name).read_text("utf-8") for name in _OWN}
        # read once: a name that is not in this table does not exist, so no path is ever made of a request
        self.texts = {
            name: (text, f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"') for name, text in texts.items()
        }
        self.html = templates().get_template("live.html.j2").render()

    async def page(self, _: Request) -> Response:
        return HTMLResponse(self.html)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in self.texts:
            raise HTTPException(404, "There is no such file.")
        text, tag = self.texts[name]
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(text, media_type=_TYPES[name.rpartition(".")[2]], headers=headers)

    async def events(self, request: Request) -> Response:
        feed = self.poller.feed

        async def states() -> AsyncIterator[ServerSentEvent]:
            async for number, text, whole in feed.texts():
                yield ServerSentEvent(data=text, event="state" if whole else "changes", id=str(number), retry=1000)

        return EventSourceResponse(
            states(), ping=ALIVE_SECONDS, send_timeout=SEND_TIMEOUT,
            ping_message_factory=lambda: ServerSentEvent(data="alive", event="alive"),
        )  # fmt: skip

    def run(self, request: Request) -> Response:
        return _json(self._view(request.path_params["run"]).content())

    def points(self, request: Request) -> Response:
        """Points of one chart of a run: ``?metric=...&first=0&last=1000&limit=1200``."""
        view = self._view(request.path_params["run"])
        names = request.query_params.getlist("metric")
        metrics = [metric for name in names[:MOST_METRICS] if (metric := view.metric(name)) is not None]
        if view.diagnosis is None or not metrics:
            raise HTTPException(404, "The run has no such metric.")
        run = view.diagnosis.run
        lines = [(run.steps, run[metric]) for metric in metrics]
        return _json({**points(lines, *_range(request)), "notFinite": not_finite(run, metrics[0])})

    def report(self, request: Request) -> Response:
        """The report of ``vaelab report`` as one file to keep or to send."""
        view = self._view(request.path_params["run"])
        if view.diagnosis is None:
            raise HTTPException(404, "The run cannot be judged yet.")
        headers = {"Content-Disposition": f'attachment; filename="vaelab-{view.id}.html"'}
        return HTMLResponse(_utf8(to_html([view.diagnosis])), headers=headers)

    def preview(self, request: Request) -> Response:
        view, kind = self._view(request.path_params["run"]), request.path_params["kind"]
        path = view.files.previews.get(request.path_params["step"], {}).get(kind)
        if path is None or not path.is_file():
            raise HTTPException(404, "There is no such preview.")
        return FileResponse(path, media_type=KINDS[kind], headers={"Cache-Control": "private, no-cache"})

    def compare(self, request: Request) -> Response:
        """Several runs in words, and their charts: ``?run=a&run=b&over=step``, ``seconds`` or ``samples``."""
        return _json(comparison(self._chosen(request), _axis(request)))

    def table(self, _: Request) -> Response:
        """All runs that can be read, as they are now, on the page of ``vaelab compare``: however many, by step, time and samples."""
        found = [view.diagnosis for view in self.poller.views.values() if view.diagnosis is not None]
        if len(found) < 2:
            raise HTTPException(409, f"A table of runs needs at least 2 that can be read; {len(found)} can.")
        return HTMLResponse(_utf8(compare_page(found)), headers=WHOLE_PAGE)

    def compared_points(self, request: Request) -> Response:
        """Points of one metric of several runs: ``?run=a&run=b&metric=rec_loss&first=0&last=1000&limit=1200``."""
        return _json(
            compared_points(
                self._chosen(request), request.query_params.get("metric", ""), _axis(request), *_range(request)
            )
        )

    def _view(self, run_id: str) -> RunView:
        view = self.poller.views.get(run_id)
        if view is None:
            raise HTTPException(404, "There is no such run any more.")
        return view

    def _chosen(self, request: Request) -> list[RunView]:
        ids = list(dict.fromkeys(request.query_params.getlist("run")))
        if not 2 <= len(ids) <= MOST_RUNS:
            raise HTTPException(400, f"A comparison needs 2 to {MOST_RUNS} runs; {len(ids)} were given.")
        views = [self._view(run_id) for run_id in ids]
        waiting = [view.name for view in views if view.diagnosis is None]
        if waiting:
            raise HTTPException(409, f"Not readable yet: {', '.join(waiting)}.")
        return views


def _axis(request: Request) -> str:
    over = request.query_params.get("over", "step")
    if over not in AXES:
        raise HTTPException(400, f"over must be one of {', '.join(AXES)}.")
    return over


def _range(request: Request) -> tuple[int, float | None, float | None]:
    """``limit``, ``first`` and ``last`` of the query. Raises HTTPException for what is no number."""
    query = request.query_params
    try:
        limit = int(query.get("limit", "1200"))
        first, last = (float(query[name]) if name in query else None for name in ("first", "last"))
    except ValueError:
        raise HTTPException(400, "limit must be a whole number, first and last must be numbers.") from None
    if first != first or last != last:  # NaN
        raise HTTPException(400, "first and last must be numbers.")
    return min(max(limit, LEAST_POINTS), MOST_POINTS), first, last


def _json(value: Any) -> Response:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Response(_utf8(text), media_type="application/json")


def _utf8(text: str) -> bytes:
    """A file name need not be valid Unicode: what is not becomes a question mark."""
    return text.encode("utf-8", "replace")

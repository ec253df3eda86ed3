"""``vaelab watch``: the same judgement as ``vaelab diagnose`` on logs that grow."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from vaelab.cli.declared import declared_config
from vaelab.cli.diagnose import (
    Channels,
    Clip,
    Compression,
    ConfigFile,
    Dialect,
    Ignore,
    Latent,
    Map,
    Range,
    Select,
)
from vaelab.cli.judging import rule_codes
from vaelab.cli.output import console_for
from vaelab.errors import ConfigError

if TYPE_CHECKING:
    from vaelab.live import Change, Watcher
    from vaelab.live.alerts import Alerts

WEB_PORT = 8765

WATCH_PATHS_HELP = (
    "Log files, folders or quoted patterns, or addresses of these. A path may not exist yet: it is waited for."
)


class Until(str, Enum):
    """How grave a verdict must be for exit code 1."""

    act = "act"
    stop = "stop"


def watch(
    paths: Annotated[list[str], typer.Argument(metavar="PATH", show_default=False, help=WATCH_PATHS_HELP)],
    once: Annotated[bool, typer.Option("--once", help="Look once, print the screen and end.")] = False,
    json_lines: Annotated[
        bool,
        typer.Option("--json-lines", help="Print one JSON object a line: the state of a run, and every change of it."),
    ] = False,
    until: Annotated[
        Until | None,
        typer.Option("--until", help="End with exit code 1 as soon as a run's verdict is at least this grave."),
    ] = None,
    idle: Annotated[
        float | None,
        typer.Option(
            "--idle", metavar="MINUTES", min=0, help="End with exit code 3 if no run gets a new row for so long."
        ),
    ] = None,
    interval: Annotated[
        float, typer.Option("--interval", metavar="SECONDS", min=0.1, help="Time between two looks at the files.")
    ] = 2.0,
    alert_command: Annotated[
        list[str] | None,
        typer.Option(
            "--alert-command",
            metavar="COMMAND",
            help="Shell command for every alert. It finds VAELAB_STATUS, VAELAB_TEXT, VAELAB_RUN ... in its environment "
            "and the whole alert as JSON on standard input.",
        ),
    ] = None,
    alert_webhook: Annotated[
        list[str] | None,
        typer.Option(
            "--alert-webhook", metavar="URL", help="Address that gets every alert as JSON (Slack's form too)."
        ),
    ] = None,
    alert_email: Annotated[
        list[str] | None,
        typer.Option("--alert-email", metavar="ADDRESS", help="Address for alerts by the system's sendmail."),
    ] = None,
    web: Annotated[bool, typer.Option("--web", help="Show the live page in a browser instead of this screen.")] = False,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="With --web: port, 0 for a free one.")
    ] = WEB_PORT,
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help="With --web: address to listen on.")] = (
        "127.0.0.1"
    ),
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TEXT", help="With --web: what a browser on another machine must show."),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="With --web: open the page in a browser.")] = False,
    dialect: Dialect = None,
    select: Select = None,
    ignore: Ignore = None,
    config: ConfigFile = None,
    latent: Latent = None,
    clip: Clip = None,
    compression: Compression = None,
    channels: Channels = None,
    input_range: Range = None,
    roles: Map = None,
) -> None:
    """Watch training logs as they grow: verdict, phases, time to the next milestone, metrics, findings as they come and go.

    An alarm is shown when more rows have confirmed it (stop: at once) and until its reason has stayed away for a while. The
    watch ends when every run has finished.

    Examples:

    - **vaelab watch train.log**

    - **vaelab watch runs/ --web**

    - **vaelab watch train.log --until stop; test $? -eq 1 && scancel $JOB**

    - **vaelab watch runs/ --json-lines | jq .text**

    Keys: **q** leaves, **n** and **p** show the next and the previous run.

    Exit codes: 0 every run has finished (or --once, or q), 1 a verdict is as grave as --until, 2 bad usage, 3 no new row for --idle
    minutes, 130 Ctrl-C.
    """
    if web and (once or json_lines or until or idle is not None):
        raise ConfigError("--web shows the page until Ctrl-C: leave out --once, --json-lines, --until and --idle.")
    declared = declared_config(config, latent, clip, compression, channels, input_range, roles)
    from vaelab.live import Watcher

    selected, ignored = rule_codes("--select", select), rule_codes("--ignore", ignore)
    watcher = Watcher(paths, format=dialect, config=declared, select=selected, ignore=ignored)
    with console_for(None) as console:
        full_screen = console.is_terminal and not (console.is_dumb_terminal or once or json_lines or web)
        alerts = make_alerts(alert_command or (), alert_webhook or (), alert_email or (), on_screen=full_screen)
        try:
            if web:
                _serve(watcher, host, port, token, open_browser, interval, alerts)
                return
            from vaelab.live import following, views

            view: following.View
            pause: Callable[[float], object] = time.sleep
            if json_lines:
                view = views.JsonLines(sys.stdout)
            elif once:
                view = views.Printed(console, alerts)
            else:
                view = views.Lines(console)
                if full_screen:
                    view = screen = views.FullScreen(console, alerts)
                    pause = screen.pause
            code = following.follow(
                watcher,
                view,
                alerts,
                until=until.value if until else None,
                idle_seconds=None if idle is None else 60 * idle,
                interval=interval,
                once=once,
                pause=pause,
            )
        finally:
            if alerts is not None:
                alerts.close()
    raise typer.Exit(code)


def make_alerts(
    commands: Sequence[str], webhooks: Sequence[str], addresses: Sequence[str], on_screen: bool
) -> Alerts | None:
    """Alerts for the options given, None without any. on_screen: the screen says what fails, else standard error does.

    Raises AlertError for an address that cannot be understood.
    """
    if not (commands or webhooks or addresses):
        return None
    from vaelab.live.alerts import Alerts, Email, ShellCommand, Sink, Webhook

    def say(problem: str) -> None:
        print(f"vaelab: {problem}", file=sys.stderr)

    sinks: list[Sink] = [*map(ShellCommand, commands), *map(Webhook, webhooks), *map(Email, addresses)]
    return Alerts(sinks, report=None if on_screen else say)


def _serve(
    watcher: Watcher,
    host: str,
    port: int,
    token: str | None,
    open_browser: bool,
    interval: float,
    alerts: Alerts | None,
) -> None:
    from vaelab.web import serve

    def tell(changes: Sequence[Change]) -> None:
        if alerts is not None:
            alerts(changes)

    serve(watcher, host, port, token, open_browser, interval, tell)

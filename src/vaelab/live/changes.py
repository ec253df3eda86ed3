"""Change: one piece of news of a run that is watched."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from vaelab.report.layout import plain


@dataclass(frozen=True)
class Change:
    """Something that a person who watches wants to know. ``step`` is the last logged step, None before the first row.

    kind: ``status`` (old and new status), ``finding`` (``KL201 critical``; old None: it came, new None: it is gone),
    ``cause`` (ids of the most likely cause), ``problem`` (the log cannot be read: new is the sentence), ``stalled`` (no new
    row for long), ``recovered`` (from either), ``restarted`` (another run stands in its place, or the run went back),
    ``finished``. time: seconds since 1970. text: one sentence for a person; it may quote the log, without control characters.
    """

    run_id: str
    step: int | None
    kind: str
    old: str | None
    new: str | None
    text: str
    source: str = ""
    time: float = field(default_factory=time.time, compare=False)

    def as_json(self) -> dict[str, Any]:
        """Plain values for ``json.dumps``; the time is ISO 8601 in UTC."""
        when = datetime.fromtimestamp(self.time, timezone.utc).isoformat(timespec="seconds")
        return {
            "kind": self.kind,
            "run": self.run_id,
            "source": clean(self.source),
            "step": self.step,
            "time": when,
            "old": self.old,
            "new": self.new,
            "text": self.text,
        }


def clean(text: object) -> str:
    """``text`` without control characters, and with ``?`` for bytes of a file name that are no text: fit for any output."""
    return plain(text).encode("utf-8", "replace").decode("utf-8")

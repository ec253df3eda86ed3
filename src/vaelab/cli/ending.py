"""How a command ends: with one sentence instead of a traceback, and quietly on Ctrl-C and on a closed pipe."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vaelab.errors import VaelabError, reason

INTERRUPTED = 130
PIPE_CLOSED = 141


@contextmanager
def ends_with_a_sentence() -> Iterator[None]:
    """Around a command's work: every error of it becomes one sentence on standard error and SystemExit with the exit code."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except VaelabError as error:
        print(f"vaelab: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except MemoryError:
        print(
            "vaelab: the log does not fit into memory (its values take about as much as the file). Cut it, for example"
            " with split or grep, or read it on a machine with more memory.",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    except KeyboardInterrupt as interrupt:
        if interrupt.args:
            print(f"vaelab: {interrupt}", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    except BrokenPipeError:
        # The interpreter flushes stdout once more at exit, which would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(PIPE_CLOSED) from None
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        if os.environ.get("VAELAB_DEBUG"):
            raise
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        print(
            f"vaelab: this is an error of vaelab's own, not of your log ({type(error).__name__}: {reason(error)}, at"
            f" {Path(where.filename).name} line {where.lineno}). Nothing was changed. Please report it with the"
            " log; VAELAB_DEBUG=1 shows all of it.",
            file=sys.stderr,
        )
        raise SystemExit(2) from None

"""One run from two reads of its log: the rows that a rotation or a truncation took out of the file are kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vaelab.run import FloatArray, Run


def is_continuation(earlier: Run, later: Run) -> bool:
    """Whether ``later`` goes on with ``earlier`` though its log lacks the first rows: same kind of log, and it begins later.

    A log that begins at step 0 or 1, or no later than the one before, is another run (as in ``readers.splitting``).
    """
    if not len(earlier) or not len(later) or (earlier.format, earlier.trainer) != (later.format, later.trainer):
        return False
    return int(later.steps[0]) > max(1, int(earlier.steps[0]))


def is_other_run(earlier: Run, later: Run) -> bool:
    """Whether ``later`` is not ``earlier`` grown, cut or gone back: its first row holds other values."""
    if not len(earlier) or not len(later):
        return False
    if earlier.steps[0] != later.steps[0]:
        return not is_continuation(earlier, later)
    shared = [name for name in earlier if name in later]
    first = [(earlier[name][0], later[name][0]) for name in shared]
    return not shared or any(a != b and not (np.isnan(a) or np.isnan(b)) for a, b in first)


def join(earlier: Run, later: Run) -> Run:
    """The rows of ``earlier`` before ``later`` begins, then all of ``later``; events of both, everything else of ``later``.

    Line numbers of the earlier rows are set to 0 (unknown): they are no lines of the present file.
    """
    n = int(np.searchsorted(earlier.steps, later.steps[0]))
    columns = {}
    for name in dict.fromkeys([*earlier, *later]):
        a, b = earlier.columns.get(name), later.columns.get(name)
        like = b or a
        assert like is not None
        lines = b.lines if b and b.lines is not None else np.zeros(len(later), np.int64)
        means = None
        if like.epoch_mean is not None:
            parts = _floats(a.epoch_mean if a else None, n), _floats(b.epoch_mean if b else None, len(later))
            means = np.concatenate(parts)
        columns[name] = replace(
            like,
            values=np.concatenate([_floats(a.values if a else None, n), _floats(b.values if b else None, len(later))]),
            logged=np.concatenate(
                [a.logged[:n] if a else np.zeros(n, bool), b.logged if b else np.zeros(len(later), bool)]
            ),
            lines=np.concatenate([np.zeros(n, np.int64), lines]),
            epoch_mean=means,
        )
    epochs = None
    if earlier.epochs is not None and later.epochs is not None:
        epochs = np.concatenate([earlier.epochs[:n], later.epochs])
    before = tuple(e for e in earlier.events if e.step is not None and e.step < later.steps[0])
    return replace(
        later,
        steps=np.concatenate([earlier.steps[:n], later.steps]),
        columns=columns,
        epochs=epochs,
        config={**earlier.config, **later.config},
        raw_config={**earlier.raw_config, **later.raw_config},
        events=(*(replace(e, line=None) for e in before), *later.events),
    )


def _floats(values: FloatArray | None, n: int) -> FloatArray:
    """The first ``n`` values, NaN where there are none."""
    return np.full(n, np.nan) if values is None else values[:n]

"""Numbers that are printed with the same count of decimals in every line, as most are: read in fewer steps than ``number_runs`` takes.

Where the point stands is then known from the end of the number. What is not as it was learnt (other decimals, more than eight
digits before the point, no number at all) is told, not read. The values are exactly ``float(text)``, as in ``number_runs``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaelab.readers.number_runs import (
    POINTS,
    BoolArray,
    Lines,
    Numbers,
    Places,
    Words,
    bytes_of,
    eight_digits,
    last_bytes,
    not_digits,
    shift_to_the_end,
)
from vaelab.run import FloatArray, IntArray

MOST_DECIMALS = 7  # with the point they fit in one word

_POWERS = np.array([10.0**k for k in range(MOST_DECIMALS + 1)])


@dataclass
class FixedPoint:
    """Runs of a line whose decimals stay. runs: int64 (r,), which they are; the first ``wanted`` are read; all other arrays are (r, 1).

    decimals: digits after the point. point: whether there is one. may_change_sign: whether it may have a sign or not.
    signed: whether it had one. odd, at_point: the high bit and the byte of the point, in the last word of the number.
    behind, before: masks of the bytes of that word on either side of the point.
    """

    runs: IntArray
    wanted: int
    decimals: IntArray
    point: BoolArray
    may_change_sign: BoolArray
    signed: BoolArray
    odd: Words
    at_point: Words
    behind: Words
    before: Words

    def without(self, some: BoolArray) -> FixedPoint:
        """The same without the runs ``some`` (r,)."""
        arrays = {name: array[~some] for name, array in vars(self).items() if name != "wanted"}
        return FixedPoint(wanted=int(np.sum(~some[: self.wanted])), **arrays)

    def read(self, lines: Lines, places: Places) -> tuple[FloatArray, BoolArray, BoolArray]:
        """Values (wanted, n) of the first of these runs of ``lines``; what (r, n) is as it was learnt; whose sign is."""
        length = places.length
        to_the_end = shift_to_the_end(length)
        word = places.word << to_the_end
        odd = not_digits(places.word) << to_the_end
        odd ^= word & self.at_point
        as_learnt = odd == self.odd ^ (self.at_point & POINTS)
        as_learnt &= length > self.point  # one digit at least
        first = slice(self.wanted)
        word = word[first]
        digits = word & self.behind[first]
        word &= self.before[first]
        word <<= np.uint64(8)
        digits |= word
        digits = eight_digits(digits)
        long = np.flatnonzero(length > 8)
        if len(long):
            self._read_long(lines, places.end, length, long, digits, as_learnt)
        values = digits.view(np.int64) / _POWERS[self.decimals[first]]
        np.negative(values, out=values, where=places.sign[first] == ord("-"))
        return values, as_learnt, ((places.sign != 0) == self.signed) | self.may_change_sign

    def _read_long(
        self, lines: Lines, end: IntArray, length: IntArray, long: IntArray, digits: Words, as_learnt: BoolArray
    ) -> None:
        """Fill in the flat places ``long``, where the digits before the point are not all in the last word."""
        run = long // end.shape[1]
        decimals, point = self.decimals[run, 0], self.point[run, 0]
        at = end.reshape(-1)[long]
        before = length.reshape(-1)[long] - decimals - point
        mask = last_bytes(np.clip(before, 0, 8))
        first, last = lines.words[at - decimals - point - 8] & mask, lines.words[at - 8]
        at_point = self.at_point[run, 0]
        alike = (not_digits(last) == self.odd[run, 0]) & (last & at_point == POINTS & at_point)
        as_learnt.reshape(-1)[long] = alike & (before <= 8) & ((not_digits(first) & mask) == 0)
        second = eight_digits(last & last_bytes(decimals))
        read = eight_digits(first) * _POWERS[decimals].astype(np.uint64) + second
        digits.reshape(-1)[long[long < digits.size]] = read[long < digits.size]


def fixed_point_runs(which: IntArray, wanted: BoolArray, kinds: Numbers, may_change_sign: BoolArray) -> FixedPoint:
    """What to expect of the runs ``which`` of a line whose runs are ``kinds``; all have at most ``MOST_DECIMALS``. wanted: of all runs."""
    which = np.concatenate((which[wanted[which]], which[~wanted[which]]))
    decimals, point = kinds.decimals[which, None], kinds.point[which, None]
    odd = np.where(point, np.uint64(1 << 63) >> (decimals * 8).astype(np.uint64), np.uint64(0))
    return FixedPoint(
        which,
        int(np.sum(wanted[which])),
        decimals,
        point,
        may_change_sign[which, None],
        kinds.signed[which, None],
        odd,
        bytes_of(odd),
        behind=np.where(point, last_bytes(decimals), ~np.uint64(0)),  # of a whole number all bytes
        before=np.where(point, ~last_bytes(decimals + 1), np.uint64(0)),
    )

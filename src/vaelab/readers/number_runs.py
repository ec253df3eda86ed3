"""Numbers of many lines at once: where they stand in a text, and their values, with a few numpy calls for all of them.

A run is a longest stretch of digits and points, with the sign before it unless that stands behind another one (1-2). Its value is exactly ``float(text)``: the digits are assembled as an
integer below 2**53 and multiplied or divided by a power of ten up to 10**22, which rounds once; other runs are irregular.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vaelab.run import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

RUN = re.compile(rb"(?:(?<![0-9.])[+\-])?[0-9.]+")
LARGEST_POWER = 22  # 10**22 is the largest power of ten that a float64 holds exactly

PIECE = 1 << 18  # bytes of a text that fit in the processor's cache

_MARGIN = b"\n" * 24  # words can be loaded on either side of every run
_ZEROS = np.uint64(0x3030303030303030)
_LOW_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_LOW_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_TO_HIGH_BIT = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_JOINS = (
    (np.uint64(10), np.uint64(8), np.uint64(0x00FF00FF00FF00FF)),
    (np.uint64(100), np.uint64(16), np.uint64(0x0000FFFF0000FFFF)),
    (np.uint64(10000), np.uint64(32), np.uint64(0x00000000FFFFFFFF)),
)
_POWERS = np.array([10.0**k for k in range(LARGEST_POWER + 1)])
_LAST_BYTES = np.array(
    [0, *((2**64 - 2 ** (8 * (8 - k))) for k in range(1, 9))], np.uint64
)  # masks of a word's last k bytes
_PLAIN = re.compile(rb"\d+\.?(\d*)|\.(\d+)")


@dataclass
class Runs:
    """The runs of a text, line after line.

    start, end: int64 (r,) where each stands in ``text``. first: int64 (lines + 1,) index of each line's first run.
    line_start, line_end: int64 (lines,) where each line begins and ends in ``text``. data, words: the bytes of ``text``, and the eight
    bytes from each place on.
    """

    text: bytes
    data: npt.NDArray[np.uint8]
    words: Words
    start: IntArray
    end: IntArray
    first: IntArray
    line_start: IntArray
    line_end: IntArray

    def line(self, i: int) -> bytes:
        """The line ``i``, without its end."""
        return self.text[self.line_start[i] : self.line_end[i]]

    def of_lines(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Begin and end of the runs (runs, n) of lines (n,) that have equally many."""
        begin = int(self.first[rows[0]])
        n_runs = int(self.first[rows[0] + 1]) - begin
        if rows[-1] - rows[0] + 1 == len(rows):  # one behind the other, as they mostly are
            part = slice(begin, begin + n_runs * len(rows))
            start, end = (a[part].reshape(-1, n_runs).T for a in (self.start, self.end))
            return np.array(start, order="C"), np.array(end, order="C")
        index = self.first[rows] + np.arange(n_runs)[:, None]
        return self.start[index], self.end[index]

    def have_before(self, places: IntArray, text: bytes) -> BoolArray:
        """Whether ``text`` stands directly before each of ``places``."""
        same = np.ones(places.shape, np.bool_)
        for end in range(len(text), 0, -8):
            part = text[max(end - 8, 0) : end]
            same &= (self.words[places - (len(text) - end) - 8] & last_bytes(len(part))) == word_of(part)
        return same


def word_of(text: bytes) -> np.uint64:
    """Up to eight bytes as the last ones of a word."""
    return np.uint64(int.from_bytes(text.rjust(8, b"\0"), "little"))


def runs_of(text: bytes) -> Runs:
    """Where the runs of ``text`` are, which consists of whole lines."""
    text = b"".join((_MARGIN, text, _MARGIN))
    data = np.frombuffer(text, np.uint8)
    edges = np.concatenate([_edges(data[at - 2 : at + PIECE + 1]) + at for at in range(2, len(data) - 1, PIECE)])
    start, end = edges[::2], edges[1::2]
    line_end = np.flatnonzero(data[: len(data) - len(_MARGIN)] == ord("\n"))[len(_MARGIN) :]
    line_start = np.append(len(_MARGIN), line_end[:-1] + 1)[: len(line_end)]
    first = np.append(np.searchsorted(start, line_start), len(start))
    words: Words = np.ndarray((len(text) - 7,), np.dtype("<u8"), text, strides=(1,))
    return Runs(text, data, words, start, end, first, line_start, line_end)


def _edges(data: npt.NDArray[np.uint8]) -> IntArray:
    """Where runs begin and end, in turn, counted from the third byte to the one before the last."""
    inside = (data - np.uint8(ord("0"))) < 10
    inside |= data == ord(".")
    signs = np.flatnonzero((data[1:-1] == ord("-")) | (data[1:-1] == ord("+"))) + 1
    inside[signs] = inside[signs + 1] & ~inside[signs - 1]
    return np.flatnonzero(inside[2:-1] != inside[1:-2])


@dataclass
class Numbers:
    """What some runs say, arrays of one shape.

    digits, power: float64 and int64; the number is digits x 10**power, without its sign. decimals: int64, digits after the point.
    point, signed, negative: whether there is one. regular: whether it is a number with at most one point.
    """

    digits: FloatArray
    power: IntArray
    decimals: IntArray
    point: BoolArray
    signed: BoolArray
    negative: BoolArray
    regular: BoolArray

    def values(self, runs: BoolArray) -> FloatArray:
        """The numbers of some runs (the first axis)."""
        values = self.digits[runs] / _POWERS[-self.power[runs]]
        np.negative(values, out=values, where=self.negative[runs])
        return values


def last_bytes(count: IntArray | int) -> Words:
    """Masks of a word's last ``count`` bytes (0 to 8)."""
    return _LAST_BYTES[count]


def scaled(digits: FloatArray, power: IntArray, negative: BoolArray) -> tuple[FloatArray, BoolArray]:
    """digits x 10**power with a sign, rounded once; and where the power is small enough for that."""
    exact = np.abs(power) <= LARGEST_POWER
    values = digits / _POWERS[np.clip(-power, 0, LARGEST_POWER)]
    if power.max(initial=0) > 0:
        values *= _POWERS[np.clip(power, 0, LARGEST_POWER)]
    np.negative(values, out=values, where=negative)
    return values, exact


def read_numbers(runs: Runs, start: IntArray, end: IntArray) -> Numbers:
    """The numbers in ``runs.data`` between ``start`` and ``end`` (arrays of one shape)."""
    first_byte = runs.data[start]
    negative = first_byte == ord("-")
    signed = negative | (first_byte == ord("+"))
    length = end - start - signed
    word = runs.words[end - 8]
    inside = _LAST_BYTES[np.minimum(length, 8)]
    word &= inside
    odd = not_digits(word) & inside  # the high bit of every byte of the number that is no digit
    point = odd != 0
    at_point = odd.astype(np.float64).view(np.int64)  # the highest of these bits is in the exponent of the float
    decimals = np.where(point, 7 - ((at_point >> 52) - 1023 >> 3), 0)
    behind = _LAST_BYTES[decimals]
    closed_up = (word & behind) | ((word & ~(behind | behind >> np.uint64(8) | _POINT_AT_THE_END)) << np.uint64(8))
    whole_word = np.where(point, closed_up, word)
    regular = (length <= 8) & (length > point) & ((odd & (odd - np.uint64(1))) == 0)
    numbers = Numbers(
        eight_digits(whole_word).astype(np.float64), -decimals, decimals, point, signed, negative, regular
    )
    long = np.flatnonzero(length > 8)
    if len(long):
        _read_long(runs, (start + signed).reshape(-1)[long], end.reshape(-1)[long], numbers, long)
    return numbers


# The byte of the point: with no decimals behind it is the last one, which ``behind >> 8`` does not reach.
_POINT_AT_THE_END = np.uint64(0xFF00000000000000)


def _read_long(runs: Runs, start: IntArray, end: IntArray, numbers: Numbers, where: IntArray) -> None:
    """Fill in the numbers of more than eight characters (flat places ``where``): by two words, or one by one."""
    length = end - start
    low, high = runs.words[end - 8], runs.words[end - 16]
    odd_low = not_digits(low)
    odd_high = not_digits(high) & _LAST_BYTES[np.minimum(length - 8, 8)]
    point = (odd_low | odd_high) != 0
    odd = np.where(odd_low != 0, odd_low, odd_high).astype(np.float64).view(np.int64)
    behind = np.where(point, 7 - ((odd >> 52) - 1023 >> 3) + np.where(odd_low != 0, 0, 8), 0)
    second = np.where(point, behind, 8)  # digits of the second part: behind the point, or the last eight
    first_end = end - second - point
    first_length = first_end - start
    regular = (length <= 16) & (first_length >= 0) & (first_length <= 8) & (first_length + second <= 15)
    mask = _LAST_BYTES[np.clip(first_length, 0, 8)]
    first = runs.words[first_end - 8] & mask
    low_mask, high_mask = _LAST_BYTES[np.minimum(second, 8)], _LAST_BYTES[np.clip(second - 8, 0, 8)]
    regular &= ((not_digits(first) & mask) | (odd_low & low_mask) | (odd_high & high_mask)) == 0
    digits = eight_digits(low & low_mask) + eight_digits(high & high_mask) * np.uint64(10**8)
    digits = digits.astype(np.float64) + eight_digits(first) * _POWERS[np.minimum(second, LARGEST_POWER)]
    power = -behind
    lone = (odd_low & (odd_low - np.uint64(1)) == 0) & (odd_high & (odd_high - np.uint64(1)) == 0)
    for i in np.flatnonzero(~regular & ((lone & ((odd_low == 0) | (odd_high == 0))) | (length > 16))).tolist():
        if match := _PLAIN.fullmatch(runs.data[start[i] : end[i]].tobytes()):
            digits[i], power[i], regular[i] = float(match[0]), 0, True
            behind[i] = len(match[1] or match[2] or b"")
            point[i] = b"." in match[0]
    for array, values in (
        (numbers.digits, digits),
        (numbers.power, power),
        (numbers.decimals, behind),
        (numbers.point, point),
        (numbers.regular, regular),
    ):
        array.reshape(-1)[where] = values


def not_digits(words: Words) -> Words:
    """128 in every byte that is not an ASCII digit, 0 in the others."""
    x = words ^ _ZEROS
    y = x & _LOW_SEVEN
    y += _TO_HIGH_BIT
    y |= x
    y &= _HIGH_BITS
    return y


def eight_digits(words: Words) -> Words:
    """The number that eight ASCII digits spell (first digit in the lowest byte; a zero byte counts as 0).

    Neighbours are joined in pairs, then fours, then eights: each step is one multiplication for all of them.
    """
    x = words & _LOW_NIBBLES
    for factor, shift, mask in _JOINS:  # in place: new arrays would cost more than the arithmetic
        right = x >> shift
        x *= factor
        x += right
        x &= mask
    return x

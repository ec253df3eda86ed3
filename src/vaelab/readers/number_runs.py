"""Numbers of many lines at once: where they stand in a text, and their values, with a few numpy calls for all of them.

A run is a longest stretch of digits and points, with the sign before it unless that stands behind another one (1-2). Its value is exactly ``float(text)``: the digits are assembled as an
integer below 2**53 and multiplied or divided by a power of ten up to 10**22, which rounds once; other runs are irregular.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vaelab.patterns import pattern
from vaelab.readers.lexer import MOST_DRAWN
from vaelab.run import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
Words = npt.NDArray[np.uint64]

RUN = pattern(rb"(?:(?<![0-9.])[+\-])?[0-9.]+")
LARGEST_POWER = 22  # 10**22 is the largest power of ten that a float64 holds exactly

LONGEST_TEXT = 4096  # bytes between two runs that can be compared

_BAR_IS_HERE = pattern(rb"(?<=%\|)(?=\|)")  # `12%|####      | 600/5000` is `12%|| 600/5000` without its bar
_WORDS_OF_BAR = 8  # that are looked at in all lines at once; tqdm's bar of ten places has up to four

# words can be loaded on either side of every line, also of what is yet to be compared
_MARGIN = b"\n" * (LONGEST_TEXT + 8 * _WORDS_OF_BAR + 64)
POINTS = np.uint64(0x2E2E2E2E2E2E2E2E)
_BARS = np.uint64(0x7C7C7C7C7C7C7C7C)
_ZEROS = np.uint64(0x3030303030303030)
_LOW_NIBBLES = np.uint64(0x0F0F0F0F0F0F0F0F)
_LOW_SEVEN = np.uint64(0x7F7F7F7F7F7F7F7F)
_TO_HIGH_BIT = np.uint64(0x7676767676767676)
_HIGH_BITS = np.uint64(0x8080808080808080)
_LOW_BITS = np.uint64(0x0101010101010101)
_JOINS = (
    (np.uint64(10), np.uint64(8), np.uint64(0x00FF00FF00FF00FF)),
    (np.uint64(100), np.uint64(16), np.uint64(0x0000FFFF0000FFFF)),
    (np.uint64(10000), np.uint64(32), np.uint64(0x00000000FFFFFFFF)),
)
_POWERS = np.array([10.0**k for k in range(LARGEST_POWER + 1)])
_LAST_BYTES = np.array(
    [0, *((2**64 - 2 ** (8 * (8 - k))) for k in range(1, 9))], np.uint64
)  # masks of a word's last k bytes
_PLAIN = pattern(rb"\d+\.?(\d*)|\.(\d+)")


WordBefore = tuple[int, "np.uint64 | None", np.uint64]
"""Part of a text: how far before its end a word stands, which of the word's bytes are the text's (None: all), and these."""


@dataclass(frozen=True)
class Text:
    """What stands before a run, or behind the last one, ready to be looked for in many lines.

    parts: size and words of what stands on either side of each progress bar, that of all but bars in ``text``. letters: without the
    ``blanks`` at its end; opened: a bracket stands before these. first_byte: word of eight of them.
    """

    text: bytes
    words: list[WordBefore]
    parts: list[tuple[int, list[WordBefore]]]
    letters: list[WordBefore]
    blanks: int
    opened: bool
    first_byte: np.uint64

    @classmethod
    def of(cls, text: bytes) -> Text:
        """``text`` has no progress bars: ``%||`` is left of them."""
        letters = text.rstrip(b" ")
        return cls(
            text,
            words_before(text),
            [(len(part), words_before(part)) for part in _BAR_IS_HERE.split(text)],
            words_before(letters),
            len(text) - len(letters),
            letters.endswith((b"[", b"(")),
            np.uint64((text or b"\n")[0]) * _LOW_BITS,
        )


@dataclass
class Lines:
    """Whole lines of a text. start, end: int64 (lines,) where each begins and ends in ``text``, without its line end.

    data, words: the bytes of ``text``, and the eight bytes from each place on. drawn: progress bars are still drawn in it.
    """

    text: bytes
    data: npt.NDArray[np.uint8]
    words: Words
    start: IntArray
    end: IntArray
    drawn: bool = False

    def line(self, i: int) -> bytes:
        """The line ``i``, without its end."""
        return self.text[self.start[i] : self.end[i]]

    def have_before(self, places: IntArray, text: list[WordBefore]) -> BoolArray:
        """Whether a text stands directly before each of ``places`` (n,)."""
        same = np.ones(len(places), np.bool_)
        for back, mask, expected in text:
            found = self.words[places - back]
            if mask is not None:
                found &= mask
            same &= found == expected
        return same

    def behind(self, places: IntArray, text: Text) -> tuple[IntArray, BoolArray]:
        """Where ``text`` ends that begins at each of ``places`` (n,), and whether it is there; what bars draw is passed over."""
        if not self.drawn or len(text.parts) == 1:
            end = places + len(text.text)
            return end, self.have_before(end, text.words)
        same = np.ones(len(places), np.bool_)
        for k, (size, words) in enumerate(text.parts):
            places = (self._bar_ends(places) if k else places) + size
            same &= self.have_before(places, words)
        return places, same

    def _bar_ends(self, places: IntArray) -> IntArray:
        """The first ``|`` from each of ``places`` on (n,); the same place where it is too far off."""
        end, open_bars = places.copy(), np.arange(len(places))
        for _ in range(_WORDS_OF_BAR):
            at = end[open_bars]
            width = first_equal(self.words[at], _BARS)
            end[open_bars] = at + np.where(width < 0, 8, width)
            open_bars = open_bars[width < 0]
            if not len(open_bars):
                return end
        for i in open_bars.tolist():
            place = int(places[i])
            end[i] = max(place, self.text.find(b"|", place, place + MOST_DRAWN + 1))
        return end

    def place_runs(self, start: IntArray) -> Places:
        """The runs that begin at ``start`` (n,)."""
        first_byte = self.data[start]
        sign = np.where((first_byte == ord("-")) | (first_byte == ord("+")), first_byte, np.uint8(0))
        begin = start + (sign != 0)
        word = self.words[begin]
        return Places(sign, begin, self.run_ends(begin, word), word)

    def run_ends(self, begin: IntArray, word: Words) -> IntArray:
        """Where the digits and points end that begin at ``begin`` (n,), or the first 32 of them; 0 where there are none. word: the eight bytes there."""
        count = _digits_and_points(word)
        end = begin + count
        long = np.flatnonzero(count == 8)
        for _ in range(3):
            if not len(long):
                break
            count = _digits_and_points(self.words[end[long]])
            end[long] += count
            long = long[count == 8]
        return np.where(end > begin, end, 0)


@dataclass
class Places:
    """Where runs are, arrays of one shape. sign: uint8, the sign or 0. begin: of what is behind the sign. end. word: eight bytes from ``begin`` on."""

    sign: npt.NDArray[np.uint8]
    begin: IntArray
    end: IntArray
    word: Words

    @classmethod
    def empty(cls, *shape: int) -> Places:
        """To be filled in."""
        return cls(
            np.zeros(shape, np.uint8), np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape, np.uint64)
        )

    def __getitem__(self, which: Any) -> Places:
        return Places(self.sign[which], self.begin[which], self.end[which], self.word[which])

    def __setitem__(self, which: Any, places: Places) -> None:
        self.sign[which], self.begin[which] = places.sign, places.begin
        self.end[which], self.word[which] = places.end, places.word

    def of_lines(self, which: IntArray) -> Places:
        """Of some lines (the second axis)."""
        arrays = self.sign, self.begin, self.end, self.word
        return Places(*(array.take(which, axis=1) for array in arrays))  # type: ignore[arg-type]  # half the time of array[:, which]

    @property
    def length(self) -> IntArray:
        """Without the sign."""
        return self.end - self.begin


def lines_of(text: bytes, drawn: bool = False) -> Lines:
    """The lines of ``text``, each with its line end. drawn: progress bars may be drawn in it."""
    size = len(text)
    text = b"".join((_MARGIN, text, _MARGIN))
    data = np.frombuffer(text, np.uint8)
    end = np.flatnonzero(data[len(_MARGIN) : len(_MARGIN) + size] == ord("\n")) + len(_MARGIN)
    start = np.append(len(_MARGIN), end[:-1] + 1)[: len(end)]
    return Lines(text, data, np.ndarray((len(text) - 7,), np.dtype("<u8"), text, strides=(1,)), start, end, drawn)


def words_before(text: bytes) -> list[WordBefore]:
    """``text`` for ``Lines.have_before``."""
    size = len(text)
    if size < 8:
        return [(8, _LAST_BYTES[size], word_of(text))] if text else []
    return [(size - at, None, word_of(text[at : at + 8])) for at in sorted({*range(0, size - 7, 8), size - 8})]


def word_of(text: bytes) -> np.uint64:
    """Up to eight bytes as the last ones of a word."""
    return np.uint64(int.from_bytes(text.rjust(8, b"\0"), "little"))


def _digits_and_points(words: Words) -> IntArray:
    """With how many digits and points (0 to 8) each word begins."""
    count = first_mark(not_digits(words) & differing(words, POINTS))
    return np.where(count < 0, 8, count)


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


def read_numbers(lines: Lines, runs: Places) -> Numbers:
    """The numbers that ``runs`` of ``lines`` are."""
    length = runs.length
    to_the_end = shift_to_the_end(length)
    word = runs.word << to_the_end
    odd = not_digits(runs.word) << to_the_end  # the high bit of every byte of the number that is no digit
    point = odd != 0
    at_point = odd.astype(np.float64).view(np.int64)  # the highest of these bits is in the exponent of the float
    decimals = np.where(point, 7 - ((at_point >> 52) - 1023 >> 3), 0)
    behind = _LAST_BYTES[decimals]
    closed_up = (word & behind) | ((word & ~(behind | behind >> np.uint64(8) | _POINT_AT_THE_END)) << np.uint64(8))
    whole_word = np.where(point, closed_up, word)
    regular = (length <= 8) & (length > point) & ((odd & (odd - np.uint64(1))) == 0)
    regular &= ((word ^ POINTS) & bytes_of(odd)) == 0
    digits = eight_digits(whole_word).astype(np.float64)
    numbers = Numbers(digits, -decimals, decimals, point, runs.sign != 0, runs.sign == ord("-"), regular)
    long = np.flatnonzero(length > 8)
    if len(long):
        _read_long(lines, runs.begin.reshape(-1)[long], runs.end.reshape(-1)[long], numbers, long)
    return numbers


# The byte of the point: with no decimals behind it is the last one, which ``behind >> 8`` does not reach.
_POINT_AT_THE_END = np.uint64(0xFF00000000000000)


def _read_long(lines: Lines, start: IntArray, end: IntArray, numbers: Numbers, where: IntArray) -> None:
    """Fill in the numbers of more than eight characters (flat places ``where``): by two words, or one by one."""
    length = end - start
    low, high = lines.words[end - 8], lines.words[end - 16]
    odd_low = not_digits(low)
    odd_high = not_digits(high) & _LAST_BYTES[np.minimum(length - 8, 8)]
    point = (odd_low | odd_high) != 0
    odd = np.where(odd_low != 0, odd_low, odd_high).astype(np.float64).view(np.int64)
    behind = np.where(point, 7 - ((odd >> 52) - 1023 >> 3) + np.where(odd_low != 0, 0, 8), 0)
    second = np.where(point, behind, 8)  # digits of the second part: behind the point, or the last eight
    first_end = end - second - point
    first_length = first_end - start
    regular = (length <= 16) & (first_length >= 0) & (first_length <= 8) & (first_length + second <= 15)
    regular &= ~point | (lines.data[first_end] == ord("."))
    mask = _LAST_BYTES[np.clip(first_length, 0, 8)]
    first = lines.words[first_end - 8] & mask
    low_mask, high_mask = _LAST_BYTES[np.minimum(second, 8)], _LAST_BYTES[np.clip(second - 8, 0, 8)]
    regular &= ((not_digits(first) & mask) | (odd_low & low_mask) | (odd_high & high_mask)) == 0
    digits = eight_digits(low & low_mask) + eight_digits(high & high_mask) * np.uint64(10**8)
    digits = digits.astype(np.float64) + eight_digits(first) * _POWERS[np.minimum(second, LARGEST_POWER)]
    power = -behind
    lone = (odd_low & (odd_low - np.uint64(1)) == 0) & (odd_high & (odd_high - np.uint64(1)) == 0)
    for i in np.flatnonzero(~regular & ((lone & ((odd_low == 0) | (odd_high == 0))) | (length > 16))).tolist():
        if match := _PLAIN.fullmatch(lines.data[start[i] : end[i]].tobytes()):
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


def shift_to_the_end(length: IntArray) -> Words:
    """By how many bits to shift words so that their first ``length`` bytes are the last ones; all is shifted out of it is over eight."""
    return (64 - 8 * length).view(np.uint64)


def not_digits(words: Words) -> Words:
    """128 in every byte that is not an ASCII digit, 0 in the others."""
    return _over(words ^ _ZEROS, _TO_HIGH_BIT)


def bytes_of(marks: Words) -> Words:
    """All bits of every byte whose high bit is set, of words without other bits."""
    return (marks >> np.uint64(7)) * np.uint64(255)


def differing(words: Words, byte: np.uint64) -> Words:
    """128 in every byte that is not that of ``byte`` (a word of equal ASCII characters), 0 in the others."""
    return _over(words ^ byte, _LOW_SEVEN)


def _over(x: Words, short: np.uint64) -> Words:
    """128 in every byte of ``x`` that is 128 or more when the byte of ``short`` is added to it."""
    y = x & _LOW_SEVEN
    y += short
    y |= x
    y &= _HIGH_BITS
    return y


def first_equal(words: Words, byte: np.uint64) -> IntArray:
    """Index of the first byte that is that of ``byte`` (a word of equal characters); negative where none is."""
    x = words ^ byte
    y = x - _LOW_BITS
    np.invert(x, out=x)
    y &= x
    y &= _HIGH_BITS  # the lowest of the bits is right, those above it need not be
    return first_mark(y)


def first_mark(marks: Words) -> IntArray:
    """Index of the first byte whose high bit is set, of words without other bits; negative where none is."""
    lowest = np.negative(marks)
    lowest &= marks
    lowest >>= np.uint64(7)
    exponent = lowest.view(np.int64).astype(np.float64).view(np.int64)
    exponent >>= 55
    exponent -= 127
    return exponent


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

"""The grammar of text logs: one place that says what a number, a name and a count look like.

A value is read whole or not at all: what follows a number must end it (a blank, a comma, a bracket, a known unit), or the
number is ``Unreadable``. All text is bytes of one line after ``plain`` (every digit, blank and minus sign is ASCII), so that
positions found here are positions in the file's text.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from vaelab.patterns import pattern

# Plain text ----------------------------------------------------------------------------------------------------------

MOST_DRAWN = 500  # bytes of a progress bar
_NOT_ASCII = pattern(rb"[\x80-\xff]+")
_BAR_DRAWING = pattern(rb"%%\|[^|\r\n]{0,%d}\|" % MOST_DRAWN)
_COMMA_IN_NUMBER = pattern(rb"(?<=\d),(?=\d)")
_KEPT_SYMBOLS = "±°²³¹"
_MINUS_SIGNS = "\u2212\ufe63\uff0d"
_WRITTEN = {"\u221e": "inf", "\u00d7": "x", "\u2715": "x", "\u2192": "->"}  # signs for which text has letters
_TIMES_TEN = pattern(  # 1.1·10⁻³
    rb"(?<=\d)\s?(?:\xc3\x97|\xc2\xb7|\xe2\x8b\x85|\xe2\x88\x99|x|\*)\s?10(?:(?P<raised>(?:\xe2\x81[\xb0-\xbb]|\xc2[\xb2\xb3\xb9]){1,4})|(?=\^|\*\*))"
)


def plain(text: bytes, decimal_comma: bool = False) -> bytes:
    """Text whose digits, blanks and minus signs are ASCII, without the drawing of progress bars; line ends stay.

    decimal_comma: the log writes 0,5 for 0.5.
    """
    if b"|" in text and b"%|" in text:  # the first is found ten times faster
        text = _BAR_DRAWING.sub(b"%||", text)
    if not text.isascii():
        text = _TIMES_TEN.sub(_times_ten, text)
        text = _NOT_ASCII.sub(lambda match: _ascii(match[0]), text)
    return _COMMA_IN_NUMBER.sub(b".", text) if decimal_comma else text


def _times_ten(match: re.Match[bytes]) -> bytes:
    raised = unicodedata.normalize("NFKC", (match["raised"] or b"").decode("utf-8", "replace"))
    return b"x10" + f"^{raised}".encode() if raised else b"x10"


@lru_cache(maxsize=4096)
def _ascii(run: bytes) -> bytes:
    """What stands for a run of non-ASCII bytes: letters stay, digits are turned into ASCII, symbols into blanks."""
    try:
        text = run.decode("utf-8")
    except UnicodeDecodeError:
        return run
    return "".join(map(_ascii_character, text)).encode("utf-8")


def _ascii_character(c: str) -> str:
    if "\uff01" <= c <= "\uff5e" and c not in _MINUS_SIGNS:  # full-width forms
        return chr(ord(c) - 0xFEE0)
    if c.isdecimal():
        return str(unicodedata.decimal(c))
    if c in _MINUS_SIGNS:
        return "-"
    if c in _WRITTEN:
        return _WRITTEN[c]
    if c.isalnum() or c in _KEPT_SYMBOLS or unicodedata.category(c)[0] == "M":
        return c
    return "" if unicodedata.category(c) == "Cf" else " "


def uses_decimal_comma(text: bytes) -> bool:
    """Whether named values are written 0,5 throughout: at least three are, and none has a decimal point."""
    commas = _NAMED_COMMA.findall(text)
    return len(commas) >= 3 and not _NAMED_POINT.search(text) and any(map(_NO_THOUSANDS.fullmatch, commas))


_NAMED_COMMA = pattern(
    rb"[A-Za-z_)]\s{0,4}[:=]\s{0,4}[-+]?(\d+,\d+(?:[eE][-+]?\d+)?)(?=[\s;|)\]]|,(?!\d)|$)", re.MULTILINE
)
_NAMED_POINT = pattern(rb"[A-Za-z_)]\s{0,4}[:=]\s{0,4}[-+]?\d*\.\d+")
_NO_THOUSANDS = pattern(rb"0\d*,.*|\d{4,},.*|\d+,(?:\d{1,2}|\d{4,})(?:[eE].*)?|.*[eE].*")

# Numbers -------------------------------------------------------------------------------------------------------------


class Unreadable(Enum):
    """A token that begins like a number and is none that can be read whole."""

    TOKEN = "unreadable"


UNREADABLE = Unreadable.TOKEN

_UNIT_WORDS = (
    rb"dB|[mun\xc2\xb5]{0,2}s|secs?|seconds?|mins?|minutes?|hours?|hrs?|h|it|its|iters?|steps?|bytes|bits?|nats?|bpp|fps|[kMG]?Hz"
    rb"|[kMGT]i?B|px|pts?|W|deg|\xc2\xb0C?"
    rb"|(?:it|its|iters?|s|secs?|ms|steps?|samples?|imgs?|images?|examples?|tokens?|frames?|batch(?:es)?|clips?|[kMG]i?B)?"
    rb"/(?:s|secs?|seconds?|it|iter|steps?|batch|gpu|epoch|min|h)(?:/\w{1,12})?"
)
_UNIT = (
    rb"(?:\s?%|x|\s?(?:"
    + _UNIT_WORDS
    + rb"))(?![\w(/*])(?!\s{0,8}[:=]|\s{1,8}[-+.]?\d)"  # not the name of the next value
)
_DIGITS = rb"(?:\d{1,3}(?:,\d{3})+(?![\d,]*\d)(?:\.\d*)?|\d+(?:\.\d*)?|\.\d+)"
NUMBER = rb"[-+]?" + _DIGITS + rb"(?:[eEdD][-+]?\d{1,4}(?!\d))?"
_SUFFIX = rb"(?:(?-i:[kKM])(?![A-Za-z/])|\s(?-i:[kKM])(?=\s{0,4}(?:[,;|)\]]|$)))"
_POWER = rb"(?:\s?[x*]\s?10(?:\^|\*\*)[-+]?\d{1,3}(?![\d.]))"  # 1.1x10^-3
NOT_FINITE = rb"[-+]?(?:nan(?:\((?:s?nan|ind|q|s)?\))?|inf(?:inity)?(?![a-z])|1\.#(?:q?nan|snan|ind|inf)\d{0,8})"
_MISSING = rb"(?:none|null|nil|n/a|na|<na>|undefined|-{1,3})"
_CALL = rb"(?:tensor|array|float|(?:\w{1,12}\.){0,2}(?:tensor|array|float\d{1,3}|int\d{1,3}|bfloat16|half)|Array|DeviceArray)"
_MORE = rb"(?:(?:\s?,\s{0,4}(?:" + NUMBER + rb"|nan|inf)){1,4096},?\s?[\])]|,\s?[\])])"
_ARGUMENTS = rb"(?:\s{0,4},\s{0,4}[a-z_]{1,20}=(?:'[^']{0,80}'|<[^>]{0,80}>|[^,()'<>]{0,80}))*\s{0,4}\)"
_END = rb"(?=[\s|)\]}\"<>(!]|'(?!\d)|$|\*(?!\d)|[,;](?![-+.]?\d)|:(?:[\s'\"]|$)|\.{1,3}(?:[\s'\"|)\]}]|[,;]\s|$)|\xc2\xb1|[\xe3-\xe9])(?!\s?(?:x|\*)\s?\d|\s10(?:\^|\*\*))"

_VALUE = (
    rb"(?:(?P<call>" + _CALL + rb")\()?(?P<open>[\[(]{1,2})?\s{0,12}['\"]?"
    rb"(?:(?P<odd>"
    + NOT_FINITE
    + rb")|(?P<number>"
    + NUMBER
    + rb"(?:(?P<suffix>"
    + _SUFFIX
    + rb")|(?P<power>"
    + _POWER
    + rb"))?)"
    rb"|(?P<missing>" + _MISSING + rb"))"
    rb"(?P<unit>" + _UNIT + rb")?"
    rb"(?:\s?/\s?(?P<of>" + NUMBER + rb"|\?+|inf)" + _SUFFIX + rb"?(?![\w.]))?"
    rb"(?:\s?(?:\+/?-|\xc2\xb1)\s?" + NUMBER + rb")?"
    rb"(?P<more>(?(open)" + _MORE + rb"|(?!)))?"
    rb"(?(call)['\"]?[\])]{0,2}?" + _ARGUMENTS + rb"|)" + _END
)
_TOKEN = pattern(rb"\s*['\"]?" + _VALUE + rb"['\"]?[\])]{0,2}[.,;:]?['\"]?\s*$", re.IGNORECASE)
_ALONE = pattern(rb"\s*(?:(?P<odd>" + NOT_FINITE + rb")|(?P<number>" + NUMBER + _POWER + rb"?))\s*", re.IGNORECASE)
_SCALE = {b"k": 3, b"K": 3, b"M": 6}
_EXPONENT = pattern(rb"\s?[x*]\s?10(?:\^|\*\*)([-+]?\d{1,3})$", re.IGNORECASE)


def parse_number(text: str | bytes) -> float | Unreadable | None:
    """The value of one token (a cell, a JSON string, what stands behind ``name:``).

    None: it says that nothing was logged (None, null, N/A, -). ``UNREADABLE``: it is no number, or not one that can be
    read whole (``10:00:12``, ``1.2.3``, a list of several).
    """
    return parse_measure(text)[0]


def parse_measure(text: str | bytes) -> tuple[float | Unreadable | None, str]:
    """``parse_number``, and the unit behind the number (``dB``, ``%``), which mostly is empty."""
    token = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    try:
        if b"_" not in token:
            return float(token), ""
    except ValueError:
        pass
    token = plain(token)
    if not token.strip():
        return None, ""
    match = _TOKEN.match(token)
    if match is None or match["more"] not in (None, b",)", b",]", b", )", b", ]"):
        return UNREADABLE, ""
    if match["of"] is not None and _INTEGER.fullmatch(match["number"] or b"") and _INTEGER.fullmatch(match["of"]):
        return UNREADABLE, ""  # 12/500 is a position
    if match["missing"] is not None:
        return None, ""
    value = _not_finite(match["odd"]) if match["odd"] is not None else _finite(match["number"])
    return value, (match["unit"] or b"").strip().decode("utf-8", "replace")


def number_in(text: str) -> float | None:
    """The number that a text of a record is by itself, without quotes, unit or suffix; None if it is anything else."""
    try:
        return float(text) if "_" not in text else None  # float takes 1_0 for 10
    except ValueError:
        pass
    match = _ALONE.fullmatch(plain(text.encode("utf-8", "replace")))
    if match is None:
        return None
    return _not_finite(match["odd"]) if match["odd"] is not None else _finite(match["number"])


def is_missing(text: str) -> bool:
    """Whether a text says that nothing was logged: ``None``, ``null``, ``-`` or nothing at all. NaN is a value."""
    return parse_number(text) is None


def _finite(number: bytes) -> float:
    """``1,234.5``, ``12.5k``, ``1.5D+3`` and ``1.1x10^-3``, rounded once."""
    digits, shift = _shifted(number)
    text = digits.decode("ascii").replace(",", "").lower().replace("d", "e")
    if shift:
        mantissa, _, exponent = text.partition("e")
        text = f"{mantissa}e{int(exponent or 0) + shift}"
    return float(text)


def _shifted(number: bytes) -> tuple[bytes, int]:
    """A printed number without its suffix or power of ten, and by how many digits that moves its point."""
    if power := _EXPONENT.search(number):
        return number[: power.start()], int(power[1])
    shift = _SCALE.get(number[-1:], 0)
    return (number[:-1].rstrip(), shift) if shift else (number, 0)


def _not_finite(token: bytes) -> float:
    lower = token.lower()
    if b"inf" in lower:
        return float("-inf") if lower.startswith(b"-") else float("inf")
    return float("nan")


EXACT = 400
"""Decimals of a zero that is no rounding; more than any number is printed with."""


def decimals_of(token: bytes) -> int | None:
    """Digits after the point of a printed number, less its exponent (2.01e+4 -> -2, 12.5k -> -2).

    None for nan and inf. A zero with an exponent (0.00e+00) is no rounding: as many as a float can have.
    """
    if (fraction := token.partition(b".")[2]).isdigit():  # the usual 0.123
        return len(fraction)
    digits, shift = _shifted(token)
    mantissa, _, exponent = digits.lower().replace(b"d", b"e").partition(b"e")
    if not any(c in b"0123456789" for c in mantissa) or b"#" in mantissa:
        return None
    if exponent and not mantissa.strip(b"+-0."):
        return EXACT
    return len(mantissa.partition(b".")[2]) - (int(exponent) if exponent else 0) - shift


# Named values --------------------------------------------------------------------------------------------------------


class Item(NamedTuple):
    """A value and the words before it.

    start, end: where the value stands (without its unit). stop: where what belongs to it ends.
    separated: a sign (``:``, ``=``, ``is``) stands between name and value, not only blanks. colon: a bare colon, without blanks.
    of: the number behind a slash. whole: an integer without sign or suffix. value: False for what is not logged (None).
    readable: whether it is a number that can be read whole.
    """

    name: str
    name_at: int
    start: int
    end: int
    stop: int
    separated: bool
    colon: bool = False
    of: tuple[int, int] | None = None
    whole: bool = False
    value: bool = True
    readable: bool = True
    several: bool = False


class Count(NamedTuple):
    """``at/of`` without a name; percent: ``(12%)`` stands behind it, which is how samples of an epoch are counted."""

    at: tuple[int, int]
    of: tuple[int, int]
    percent: bool


_CHARACTER = rb"[\w@#+%*&~$^\x80-\xff]|(?:[./\-]|::)(?=[\w\x80-\xff])"
# Mel-Spec. Error, Avg. loss: a short word before the next one or the sign, and not the end of a sentence
_ABBREVIATED = (
    rb"(?<!\w{9})(?<!ed)(?<!ing)(?<!done)(?<!model)(?<!epoch)(?<!step)(?<!set)(?<!best)\.(?=\s{0,8}[:=(]|\s[A-Za-z])"
)
_ARGUMENT = rb"\((?!(?:nan|inf)\))(?:[\w %/.|]|\([\w ]{1,12}\)){1,20}\)|\[[A-Za-z_][\w ]{0,20}\](?=\s{0,8}[:=])"
_WRAPPED = (
    rb"(?:\w{1,12}\.){0,2}(?:tensor|array|float\d{0,3}|int\d{1,3}|bfloat16)\("  # a value, not a word: tensor(nan)
)
_WORD = (
    rb"(?!(?:nan|inf|infinity|none|null)(?![\w/.\-]))(?!"
    + _WRAPPED
    + rb")[A-Za-z_\x80-\xff](?:"
    + _CHARACTER
    + rb")*(?:"
    + _ABBREVIATED
    + rb")?(?:"
    + _ARGUMENT
    + rb")?"
)
_NAME = _WORD + rb"(?: {1,2}(?:" + _WORD + rb"|\((?!(?:nan|inf)\))[A-Za-z%][^()\n]{0,30}\)|%(?=\s{0,8}[:=]))){0,5}"
_FACTOR = (  # of a name: 1e-6*kl_loss, rec_loss + kl_loss, 1-ssim
    rb"(?:(?:\d[\d.]{0,12}(?:e[-+]?\d{1,3})?|[A-Za-z_]\w{0,30})\s?[*+]\s?(?=[A-Za-z_])|1(?:-(?=[A-Za-z])|\s-\s(?=(?:ms-?)?ssim)))"
)
_BAD = rb"[-+]{0,3}\.?\d[^\s;|)\]}]{0,200}"  # what begins like a number
_BOX = rb"(?:\[(?P<box>)(?=[A-Za-z][^\[\]\n]{0,60}\]\s{0,16}[:=]?\s{0,16}[-+]?\.?[\dni]))?"  # [Loss] 0.5
_ITEM = pattern(
    rb"(?<![\w./@\-\x80-\xff])(?<!::)" + _BOX + rb"(?P<name>" + _FACTOR + rb"?" + _NAME + rb")(?(box)\])(?:"
    rb"['\"]?(?P<sign>\s{0,16}(?:[:=]=?|->|=>)\s{0,16})(?:" + _VALUE + rb"|(?P<bad>" + _BAD + rb"))"
    rb"|[ \t]{0,16}(?P<bare>(?<=[ \t])(?:#(?=\d))?|(?=[\[(])|(?<=[)\]]))(?=[-+.\[(]{0,3}\s{0,12}[\dni1]|"
    + _WRAPPED
    + rb")(?P<at>))",
    re.IGNORECASE,
)
_BARE_VALUE = pattern(_VALUE, re.IGNORECASE)
_BARE_BAD = pattern(_BAD)
_AT_PLACE = pattern(
    r"(.+) (?:at|after|for|in|on) ((?:training |global )?(?:step|iteration|iter|epoch|batch))", re.IGNORECASE
)
_SIGN_OF_PLACE = pattern(rb"\s{0,4}(?:[:=]|is|was)\s{1,4}(?:" + _VALUE + rb")", re.IGNORECASE)
_COUNT = pattern(
    rb"(?<![\w./:\-])(?P<at>\d{1,15})\s?/\s?(?P<of>\d{1,15})(?![\w/.\-]|:\d|\s\d\d:\d\d)(?P<percent>\s?\(\s{0,3}\d{1,3}(?:\.\d{0,4})?%\))?"
)
_ANOTHER_NUMBER = pattern(rb"\s\d[\d.,]*(?![\w./:%])")
_INTEGER = pattern(rb"\d+|\d{1,3}(?:,\d{3})+")


def items(line: bytes) -> list[Item]:
    """Every named value of a line, in the order they stand."""
    found = []
    at = 0
    while match := _ITEM.search(line, at):
        bare = match["at"] is not None
        value = _BARE_VALUE.match(line, match.end()) if bare else match
        if value is None or (bare and value["missing"] is not None):
            at = match.end("name")
            if bad := _BARE_BAD.match(line, match.end()):  # loss 1.2.3
                name = match["name"].decode("utf-8", "replace")
                found.append(Item(name, match.start(), *bad.span(), bad.end(), False, readable=False))
            continue
        item = _item(line, match, value, bare)
        at = max(item.stop, match.end())
        named = _AT_PLACE.fullmatch(item.name) if bare and item.whole else None
        if named and (value := _SIGN_OF_PLACE.match(line, item.stop)):  # Loss at step 100: 0.5
            found.append(item._replace(name=named[2]))
            item = _item(line, match, value, False)._replace(name=named[1], name_at=item.stop)
            at = item.stop
        found.append(item)
    return found


def _item(line: bytes, match: re.Match[bytes], value: re.Match[bytes], bare: bool) -> Item:
    name = match["name"].decode("utf-8", "replace")
    separated = not bare
    if bare and name.endswith((" is", " was")):
        name, separated = name.rpartition(" ")[0], True
    common = (name, match.start())
    if value is match and match["bad"] is not None:
        return Item(*common, *match.span("bad"), match.end("bad"), True, readable=False)
    kind = "odd" if value["odd"] is not None else "number" if value["number"] is not None else "missing"
    start, end = value.span(kind)
    whole = kind == "number" and _INTEGER.fullmatch(value[kind]) is not None
    several = value["more"] is not None and b"," in value["more"][:-2]
    readable = True
    if whole and not value["unit"] and value["of"] is None and _ANOTHER_NUMBER.match(line, value.end()):
        readable = False  # 1 000: one number or two
    return Item(
        *common,
        start,
        end,
        value.end(),
        separated,
        colon=value is match and match["sign"] == b":",
        of=value.span("of") if value["of"] is not None else None,
        whole=whole,
        value=kind != "missing",
        readable=readable,
        several=several,
    )


def first_count(line: bytes, begin: int, spans: list[tuple[int, int]]) -> Count | None:
    """The first ``at/of`` from ``begin`` on that is in none of ``spans``, which ascend."""
    ends = [end for _, end in spans]
    for match in _COUNT.finditer(line, begin):
        span = bisect_right(ends, match.start())  # the first that ends behind it
        if span == len(spans) or spans[span][0] > match.start():
            return Count(match.span("at"), match.span("of"), match["percent"] is not None)
    return None

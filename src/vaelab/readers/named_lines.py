"""What one line of ``key: value`` text says: its metrics, and where in training it stands.

The grammar of numbers and names is ``lexer``'s. Here it is decided which named numbers count steps and epochs, which are
metrics, and which are neither (a line of source code, a process, an option).
"""

from __future__ import annotations

import builtins
import re
from bisect import bisect_right
from functools import lru_cache

from vaelab.patterns import pattern
from vaelab.readers.lexer import Item, first_count, items
from vaelab.readers.line_shapes import NOT_READ, Field
from vaelab.readers.metric_names import looks_like_metric, may_be_metric
from vaelab.readers.number_runs import RUN
from vaelab.readers.positional import find_list

# columns that say where a line stands; in brackets, as no metric's name is
GLOBAL_STEP, STEP, TOTAL, EPOCH, RANK = "[global step]", "[step]", "[total]", "[epoch]", "[rank]"
SAMPLES = "[counts samples]"  # flag: [step] counts the samples of an epoch
CONTINUES = "[continues]"  # flag: an indented line of the record above
BAR = "[bar] "  # flag, with the title of the progress bar behind it
PASSED = "[passed over] "  # flag, with a name behind it: its number is in no column
LEADING = "[leading]"  # a number in brackets at the start, a step if it grows from line to line
FRACTION = "[fraction]"  # flag: what is named a step is no whole number

MAX_LINE = 65536  # bytes; a longer line is no row

_COUNTED = rb"\d{1,4}(?:\.\d{1,2})?[kM]|\d{1,15}"  # 10.0k/1.00M with tqdm's unit_scale
_BAR = pattern(
    rb"(?:\d{1,3}%\|\|\s{0,8}(?P<at>"
    + _COUNTED
    + rb")/(?P<of>"
    + _COUNTED
    + rb")|(?<![\w.])(?P<count>"
    + _COUNTED
    + rb")it) (?=\[)"
)
_BAR_CLOCK = pattern(rb"\[[^,\]]{0,40}")
_PREFIX = pattern(  # what a logger writes before the message: time, level, source
    rb"\s{0,16}(?:[\[(]?(?:\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/]\d\d?(?:[-/]\d{2,4})?)[ T_]{1,2}\d\d?:\d\d(?::\d\d)?"
    rb"(?:[.,]\d{1,9})?[^\s\]]{0,6}[\])]?[\s:|\-]{0,4})?(?:\[?(?:DEBUG|INFO|WARN(?:ING)?|ERROR)\]?[\s:|\-]{1,4}(?:[\w.\-]{1,40}:)?)?"
)
_LEADING_STEP = pattern(rb"(\d{1,15}): {0,4}(?=[A-Za-z(])")
_IN_BRACKETS = pattern(rb"\s{0,4}\[\s{0,8}(\d{1,15})\]:?\s{0,4}(?=[A-Za-z(])")
_BETWEEN_COUNTS = pattern(rb"[\s\[\](),|]{1,8}")  # [3/25][100/1563], 3/25, 100/1563
_EPOCH_AND_STEP = pattern(
    rb"\s{0,4}\[\s{0,8}(\d{1,6}),\s{0,8}(\d{1,15})\]:?(?=\s{1,8}[A-Za-z])"
)  # [1,  2000] loss: 2.17
_STEPS_AFTER = pattern(  # 1000 steps, between two marks
    rb"(?:^|[|,;\[(]|\b(?:after|at))\s{0,4}(\d{1,3}(?:,\d{3})+|\d{1,9}[kKM]?) (?:steps?|iters?|iterations?|updates?)\s{0,8}(?=[|,;:\])]|$)",
    re.IGNORECASE,
)
_WHOLE = pattern(
    rb"\d{1,15}(?:\.0{0,9})?|\d{1,9}(?:\.\d{1,6})?[kKM]|\d{1,9}(?:\.\d{1,12})?[eE]\+?\d{1,2}"
)  # as a step may be written, beside lexer's ``whole``
_NAMED_NUMBER = pattern(
    rb"([^\s:=,;|]{1,60})['\"|]?\s{0,8}[:=]\s{0,8}[<>~*`$]{0,2}([-+]?\.?\d[\d.,]{0,40}(?:[eE][-+]?\d{1,4})?)(?![\w:/-])"
)
_GLUED_PLACE = pattern(  # step_100, iter100, epoch-3: a word and its number in one
    rb"(?<![\w./\-])(?:(?:global|train)_)?(?:(?P<step>steps?|iter(?:ation)?s?)|(?P<epoch>epochs?|ep))[_\-]?(?P<count>\d{1,15})"
    rb"(?=:?[\s,|)\]])(?!\s{0,4}[:=]?\s{0,4}[-+.\d])",
    re.IGNORECASE,
)
_RANK = pattern(
    rb"\[?(?:rank|default)[ _:=]?(?P<rank>\d{1,5})\]?[:|\s]|^\[\d{1,5},(?P<of_mpi>\d{1,5})\]<std\w{3}>:", re.IGNORECASE
)
_NOT_ROWS = pattern(rb"Namespace\(|(?:^|\s)--[A-Za-z][\w-]{1,40}[ =]")
_SECTION = pattern(
    rb"(?<![\w.\-])(?P<val>(?:val|valid|validat(?:e|ion|ing)|eval|evaluat(?:e|ion|ing))(?:[ _]summary)?)(?![\w.])"
    rb"|(?<![\w.\-])(?P<test>(?:test(?: set)?|testing)(?:[ _]summary)?)(?![\w.\-])"
    rb"|(?<![\w.\-])(?P<epoch>(?:train(?:ing)?[ _])?summary)(?![\w.])|(?<![\w.\-])(?P<train>train|training)(?![\w.])",
    re.IGNORECASE,
)
_NAMES_SPLIT = pattern(r"(?<![a-z])(?:val|valid|validation|eval|test)(?![a-z])", re.IGNORECASE)
_NOT_TRAINING = pattern(r"^\W*(?:valid|sanity|test|predict|eval|download|load|map|generating)", re.IGNORECASE)
_EPOCH_BAR = pattern(r"^\W*epochs?\W*$", re.IGNORECASE)

_GLOBAL_NAME = pattern(r"(?:\w+/)?(?:global[ _]?(?:steps?|iter(?:ation)?s?)|num_updates|n_iter)")
_STEP_NAME = pattern(
    r"(?:(?:train(?:ing|er)?|current|cur|optimi[sz]er|eval|val(?:idation)?|valid|test|inner)[ _/])?"
    r"(?:steps?|iter(?:ation)?s?|it|updates?|(?:mini-?)?batch(?:[ _]?idx)?)(?:\(train(?:ing)?\)|/(?:total|max|all)(?:[ _]?steps?)?)?"
)
_EPOCH_NAME = pattern(
    r"(?:(?:train(?:ing|er)?|current|cur|test|eval|val(?:idation)?)[ _/](?:of )?)?epochs?(?:\((?:train(?:ing)?|val)\))?|ep"
)
_OTHER_COUNT = pattern(r"(?:^|[ _])(?:steps?|epochs?|iter(?:ation)?s?|batch(?:es)?)(?:\(\w+\))?$")
_JUNK = frozenset(
    ("at", "and", "with", "the", "is", "of", "in", "info", "debug", "warning", "error", "current", "step", "steps", "it", "epoch",
     "beginning", "starting", "start", "finished", "now", "has", "got", "was")
)  # fmt: skip
_NO_METRIC = frozenset(
    ("v_num", "eta", "time_left", "elapsed", "remaining", "rank", "local_rank", "world_size", "gpu", "gpus", "cuda", "npu", "tpu",
     "device", "pid", "port", "host", "localhost", "node", "line", "seed", "info", "debug", "warning", "error", "version", "date", "exp",
     "run", "job", "trial", "fold", "at", "for", "after", "best epoch")
)  # fmt: skip
_COUNTS = frozenset(("train", "training", "valid", "validation", "val", "test", "total"))  # if the number is whole
_EXCEPTIONS = frozenset(n for n, v in vars(builtins).items() if isinstance(v, type) and issubclass(v, BaseException))
_FILE = pattern(
    r"\.(?:py|pyx|cpp|cc|cu|ipynb|sh|pth?|ckpt|bin|safetensors|ya?ml|json|log|txt|png|jpe?g|mp4|npz?)$", re.IGNORECASE
)


@lru_cache(maxsize=8192)
def _column(text: str) -> str | None:
    """The column that the words before a number name; None if the number is neither a metric nor a place in training."""
    words = text.split(" ")
    while True:
        name = " ".join(words).lower()
        if _GLOBAL_NAME.fullmatch(name):
            return GLOBAL_STEP
        if _STEP_NAME.fullmatch(name):
            return STEP
        if _EPOCH_NAME.fullmatch(name):
            return EPOCH
        if len(words) == 1 or words[0].lower() not in _JUNK:
            break
        words.pop(0)
    if (
        name in _NO_METRIC
        or words[-1].rpartition(".")[2] in _EXCEPTIONS  # ArithmeticError: NaN detected in train loss
        or name.endswith(" pid")
        or _FILE.search(name)
        or (_OTHER_COUNT.search(name) and not looks_like_metric(name))
    ):
        return None
    return " ".join(words)


def names_split(column: str) -> bool:
    """Whether a column's name says that it is of a validation or a test."""
    return _NAMES_SPLIT.search(column) is not None


def parse_line(line: bytes) -> list[Field] | None:
    """The metrics of one line and its place in training; None if it is no line of a record."""
    if len(line) > MAX_LINE or _NOT_ROWS.search(line):
        return None
    if (b"%|" in line or b"it [" in line) and (bar := _BAR.search(line)):
        return _parse_bar(line, bar)
    prefix = _PREFIX.match(line)
    begin = prefix.end() if prefix else 0
    found = _Found(line, begin)
    if not found.evaluates:
        found.add_counts(begin)
    if any(map(looks_like_metric, found.metrics)) or (found.places and any(map(may_be_metric, found.metrics))):
        return found.fields()
    if found.places and (found.listed or (not found.metrics and _says_little(line, begin))):
        return found.fields()
    if not found.places and line[:1] in b" \t" and len(found.metrics) == 1 and len(line) < 200:
        return found.fields(CONTINUES)
    return None


def is_row(line: bytes) -> bool:
    """Whether a line by itself is a row: it names a metric and its value."""
    columns = [column for column, _, _ in parse_line(line) or () if column]
    return CONTINUES not in columns and any(may_be_metric(column) for column in columns if not column.startswith("["))


def _parse_bar(line: bytes, bar: re.Match[bytes]) -> list[Field] | None:
    """A line that tqdm drew: its counter is the step, unless the numbers behind it say it themselves."""
    title = line[: bar.start()].decode("utf-8", "replace").strip(": ")
    if _NOT_TRAINING.match(title):
        return None
    clock = _BAR_CLOCK.match(line, bar.end())
    found = _Found(line, 0, (bar.start(), clock.end() if clock else bar.end()))
    found.leave_out_cut_value(bar.end())
    counted = bar.span("at") if bar["at"] else bar.span("count")
    if _EPOCH_BAR.match(title):
        found.places.setdefault(EPOCH, counted)
    elif STEP not in found.places and GLOBAL_STEP not in found.places:
        found.places[STEP] = counted
        if bar["of"]:
            found.places[TOTAL] = bar.span("of")
    if not any(map(looks_like_metric, found.metrics)):
        if found.metrics or EPOCH not in found.places:
            return None
        found.places = {EPOCH: found.places[EPOCH]}
        return found.fields()
    return found.fields(BAR + re.sub(r"[\d.]+", "", title))


def _says_little(line: bytes, begin: int) -> bool:
    """Whether a line that names a step or an epoch says hardly anything else."""
    return len(line) < 200 and len(re.findall(rb"[A-Za-z]{2,}", line[begin:])) <= 4


class _Found:
    """What is found in one line.

    metrics: name -> where its value stands. places: special column -> where. names: where the words before values stand.
    listed: a list whose numbers have no names. evaluates: the line is about a validation.
    """

    def __init__(self, line: bytes, begin: int, skipped: tuple[int, int] = (0, 0)) -> None:
        self.line = line
        self.metrics: dict[str, tuple[int, int]] = {}
        self.places: dict[str, tuple[int, int]] = {}
        self.flags: dict[str, None] = {}  # in the order they were found
        self.spans: list[tuple[int, int]] = []
        self.names: list[tuple[int, int]] = []
        self.times: dict[str, int] = {}
        self.split = ""
        self.listed = find_list(line)
        self.leading: tuple[int, int] | None = None
        self._metric_ended = -1
        passed = [skipped, (self.listed.start, self.listed.end)] if self.listed else [skipped]
        before = begin
        glued = self._glued_places(begin)
        for item in items(line):
            while item.name_at in glued:  # step_100 loss 0.5
                after = glued[item.name_at]
                cut = len(item.name.encode()) - len(item.name.encode()[after - item.name_at :].lstrip())
                item = item._replace(name=item.name.encode()[cut:].decode(), name_at=item.name_at + cut)
            if any(start <= item.start < end for start, end in passed):
                continue
            if not (item.readable or item.separated or looks_like_metric(item.name.rpartition(" ")[2])):
                continue  # took 1:02:03
            if item.name_at > before:
                self._note_section(line[before : item.name_at])
            self._add(item)
            before = item.stop
        self.evaluates = self.split in ("val/", "test/")
        if self.listed:
            self.metrics.update(self.listed.named)
            if self.listed.step:
                self.places[GLOBAL_STEP] = self.listed.step
        if rank := _RANK.search(line, 0, 80):
            self.places[RANK] = rank.span(rank.lastgroup or 0)
        covered = sorted([*passed, *self.spans])
        ends = [end for _, end in covered]
        for match in _NAMED_NUMBER.finditer(line, begin):
            span = bisect_right(ends, match.start(2))
            if span == len(covered) or covered[span][0] > match.start(2):
                self._pass_over(match[1])

    def _glued_places(self, begin: int) -> dict[int, int]:
        """Begin and end of words such as ``step_100``. The same word twice is a part of names."""
        found = list(_GLUED_PLACE.finditer(self.line, begin))
        if len({match["step"] is None for match in found}) < len(found):
            return {}
        for match in found:
            self.places[STEP if match["step"] else EPOCH] = match.span("count")
        return {match.start(): match.end() for match in found}

    def _note_section(self, words: bytes) -> None:
        """What stands between two values may say that another split begins: ``| val: loss 0.5``."""
        for match in _SECTION.finditer(words):
            self.split = "" if match.lastgroup == "train" else f"{match.lastgroup}/"

    def _add(self, item: Item) -> None:
        column = _column(item.name)
        self.spans.append((item.name_at, item.stop))
        self.names.append((item.name_at, item.start))
        if "(val" in item.name:
            self.split = "val/"
        if column in (STEP, GLOBAL_STEP, EPOCH):
            if names_split(item.name):  # val step 5 loss 0.3
                self._note_section(item.name.replace("_", " ").encode())
            if item.colon and self.line[: item.name_at].endswith(b":") and self._is_source(item):
                return  # module:train_epoch:313
            counts = column == EPOCH or item.whole or _WHOLE.fullmatch(self.line, item.start, item.end)
            if not counts and item.value and item.readable and item.stop == item.end:
                self.flags[FRACTION] = None
            if item.value and item.readable and counts and column not in self.places:
                self.places[column] = item.start, item.end
                if column == STEP and item.of:
                    self.places[TOTAL] = item.of
            elif (
                column == STEP and TOTAL in self.places and item.value and item.readable and item.whole and not item.of
            ):
                self.places.setdefault(GLOBAL_STEP, (item.start, item.end))  # batch 9/10, step 309
            return
        if column is None:
            return
        if item.whole and column.lower() in _COUNTS:
            self._note_section(item.name.encode())
            if item.of:  # Train 100/5000
                self.spans[-1] = item.name_at, item.start
            return
        if not (item.separated or self._stands_alone(item)):
            if not item.whole and item.stop == item.end:  # with a unit it is a time or a size in a sentence
                self._pass_over(item.name.encode())
            return
        if item.colon and item.whole and self._is_source(item) and not may_be_metric(column):
            return
        if not item.readable and not may_be_metric(column):
            if item.whole:
                self._pass_over(item.name.encode())
            return
        unread = not item.readable or (item.several and not column.lower().endswith("lr")) or (item.whole and item.of)
        column = column if not self.split or names_split(column) else self.split + column
        self.times[column] = again = self.times.get(column, 0) + 1
        name = column if again == 1 else f"{column} ({again})"
        self.metrics[NOT_READ + name if unread else name] = item.start, item.stop if unread else item.end
        self._metric_ended = item.stop

    def _pass_over(self, name: bytes) -> None:
        """Note that the number under a name is in no column; the digits of the name may change from line to line."""
        text = re.sub(r"\d+", "0", name.decode("utf-8", "replace").strip("'\"()[]{} "))
        if any(map(str.isalpha, text)):
            self.flags[PASSED + text[:60]] = None

    def _is_source(self, item: Item) -> bool:
        """Whether ``name:113`` is where the line was logged: ``module:func:113``, ``(trainer:333)``."""
        before, after = self.line[: item.name_at][-1:], self.line[item.stop : item.stop + 12].lstrip(b" ")[:1]
        return before == b":" or after in (b")", b"]", b"-", b"|", b">", b"'")

    def _stands_alone(self, item: Item) -> bool:
        """Whether ``name 0.5`` without a sign between is a named value: by its name, or as it stands between two marks."""
        if looks_like_metric(item.name.rpartition(" ")[2]):
            return True
        between = self.line[self._metric_ended : item.name_at] if self._metric_ended >= 0 else b"-"
        if not between.strip(b" ") and " " not in item.name and not item.whole:
            return True  # loss 0.5 rec 0.4 time 0.21
        before, after = self.line[: item.name_at].rstrip(b" ")[-1:], self.line[item.stop : item.stop + 40].lstrip(b" ")
        after = re.sub(rb"^\([^()]{0,30}\) {0,8}", b"", after)
        if before and before not in b"|,;\t":
            return False
        return (
            not after
            or after[:1] in b"|,;\t\r"
            or (" " not in item.name and not item.whole and may_be_metric(item.name))
        )

    def leave_out_cut_value(self, begin: int) -> None:
        """A bar that is cut at the width of the terminal (its bracket from ``begin`` on is open) may end within a number."""
        if b"]" not in self.line[begin:] and self.metrics:
            name, (start, end) = max(self.metrics.items(), key=lambda item: item[1])
            if end == len(self.line) and start > begin:
                del self.metrics[name]
                self.metrics[NOT_READ + name] = start, end

    def add_counts(self, begin: int) -> None:
        """Counts without a name: ``[100/2000]``, ``25036:`` in front, ``[200, 9.9e-05]``."""
        if STEP in self.places or GLOBAL_STEP in self.places:
            return
        if step := first_count(self.line, begin, self.spans):
            after = first_count(self.line, step.of[1], self.spans)
            between = self.line[step.of[1] : after.at[0]] if after else b""
            if after and EPOCH not in self.places and _BETWEEN_COUNTS.fullmatch(between):
                self.places[EPOCH], step = step.at, after
            self.places[STEP], self.places[TOTAL] = step.at, step.of
            if step.percent:
                self.flags[SAMPLES] = None
        elif lead := _LEADING_STEP.match(self.line, begin) or _STEPS_AFTER.search(self.line, begin):
            self.places[STEP] = lead.span(1)
        elif self.metrics and EPOCH not in self.places and (lead := _EPOCH_AND_STEP.match(self.line, begin)):
            self.places[EPOCH], self.places[STEP] = lead.span(1), lead.span(2)
        elif self.metrics and (lead := _IN_BRACKETS.match(self.line, begin)):
            self.leading = lead.span(1)

    def fields(self, *flags: str) -> list[Field]:
        """In the order they stand; a flag is a field of no width. Numbers that are in no name may change from line to line."""
        found: list[Field] = [(n, *span) for n, span in (*self.places.items(), *self.metrics.items())]
        if self.leading:
            found.append((LEADING, *self.leading))
        kept = sorted([*self.names, *((start, end) for _, start, end in found)])
        at = 0
        for match in RUN.finditer(self.line):
            start, end = match.span()
            while at < len(kept) and kept[at][1] <= start:
                at += 1
            if at == len(kept) or kept[at][0] >= end:
                found.append((None, start, end))
        return [(flag, 0, 0) for flag in (*flags, *self.flags)] + sorted(found, key=lambda field: field[1])

"""Lines of a terminal screen of a given size."""

from __future__ import annotations

from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from vaelab.live.changes import clean

TALL = 32  # lines


@dataclass
class Page:
    """Lines of at most ``width`` columns, at most ``height`` of them; what does not fit is left out at the end."""

    console: Console
    width: int
    height: int

    def __post_init__(self) -> None:
        self.lines: list[Text] = []

    @property
    def room(self) -> int:
        return self.height - len(self.lines)

    def space(self) -> None:
        """An empty line, if the screen is high."""
        if self.height >= TALL and self.room > 1:
            self.lines.append(Text())

    def add(self, text: Text, most: int = 1) -> None:
        """``text`` wrapped into at most ``most`` lines; the last one ends with an ellipsis where more would follow."""
        most = min(most, self.room)
        if most < 1:
            return
        if "\n" in text.plain:
            text = Text(" ").join(text.split("\n"))
        wrapped = list(text.wrap(self.console, self.width)) if most > 1 else [text]
        for line in wrapped:
            line.rstrip()
        shown = wrapped[:most]
        if len(wrapped) > most:
            shown[-1] = Text(" ").join(wrapped[most - 1 :])
        self.lines += [cut_at_word(line, self.width) for line in shown]

    def add_column(self, head: Text, text: Text, most: int) -> None:
        """``text`` beside ``head``, in at most ``most`` lines of the width that is left."""
        beside = Page(self.console, max(self.width - head.cell_len, 12), min(most, self.room))
        beside.add(text, most)
        for i, line in enumerate(beside.lines):
            self.lines.append(cut_at_word((head if i == 0 else Text(" " * head.cell_len)) + line, self.width))


def cut_at_word(line: Text, width: int) -> Text:
    """``line`` in at most ``width`` columns: it ends after a whole word, with an ellipsis, where more would follow."""
    if line.cell_len <= width:
        return line
    line.truncate(max(width - 2, 1))
    space = line.plain.rstrip().rfind(" ")
    if space > width // 3:  # one long word, a path say, is cut where the line ends
        line.right_crop(len(line.plain) - space)
    line.rstrip()
    line.append(" …" if space > width // 3 else "…")
    return line


def one_line(text: str) -> str:
    """``text`` without control characters and line breaks."""
    return " ".join(clean(text).split())


def clip_left(text: str, width: int) -> str:
    """The last ``width`` characters, the first of them ``~`` where some are missing."""
    return text if len(text) <= width else f"~{text[len(text) - width + 1 :]}"


def clip(text: str, width: int) -> str:
    """The first ``width`` characters, the last of them ``~`` where some are missing."""
    return text if len(text) <= width else f"{text[: width - 1]}~"

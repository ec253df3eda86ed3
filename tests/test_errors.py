"""What a person reads of an error: no names of Python's objects, one line of another library's words."""

from __future__ import annotations

import importlib
import io
import pickle
import pkgutil
from collections.abc import Iterator

import pytest
from PIL import Image

import vaelab
from vaelab.errors import VaelabError, reason

# worker modules start work when they are imported, the others need nothing
for module in pkgutil.walk_packages(vaelab.__path__, "vaelab."):
    if not module.name.endswith(("__main__", "_worker")):
        importlib.import_module(module.name)


def kinds(base: type[VaelabError] = VaelabError) -> Iterator[type[VaelabError]]:
    yield base
    for one in base.__subclasses__():
        yield from kinds(one)


@pytest.mark.parametrize("kind", sorted(set(kinds()), key=lambda kind: kind.__name__))
def test_no_error_holds_the_address_of_an_object(kind: type[VaelabError]) -> None:
    text = f"a.png cannot be read: file {io.BytesIO()!r} of {io.BytesIO().read!r}, or {object()}"
    said = str(kind("stopped", text) if kind.__name__ == "RunEndedError" else kind(text))
    assert said == "a.png cannot be read: file of, or"


def test_an_error_comes_back_from_another_process() -> None:
    assert str(pickle.loads(pickle.dumps(VaelabError("what happened <x at 0x7f>")))) == "what happened"


def test_what_other_libraries_say_becomes_one_line() -> None:
    with pytest.raises(OSError) as raised:
        Image.open(io.BytesIO(b"no image"))
    assert reason(raised.value) == "cannot identify image file"
    assert reason(OSError(2, "No such file", "a.txt")) == "No such file"
    assert reason(ValueError("two\nlines  here")) == "two lines here"
    assert reason(EOFError()) == "EOFError" and len(reason(ValueError("x" * 999))) == 200

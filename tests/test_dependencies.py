"""No version with a known hole is allowed, and constraints.txt agrees with pyproject.toml. ``make audit`` asks a database for new ones."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# first version without the hole -> what it was
MENDED = {
    "aiohttp": ("3.13.4", "request smuggling and decompression bombs, CVE-2025-69223 and the series after it"),
    "asyncssh": ("2.14.2", "Terrapin, CVE-2023-48795"),
    "flask": ("3.1.3", "caching of session data, CVE-2026-27205"),
    "flask-cors": ("6", "paths compared without case, CVE-2024-6866"),
    "h11": ("0.16", "lenient chunked bodies, CVE-2025-43859"),
    "jinja2": ("3.1.6", "sandbox breakouts, CVE-2025-27516"),
    "mcp": ("1.23", "DNS rebinding, CVE-2025-66416"),
    "orjson": ("3.11.6", "recursion without a limit, CVE-2025-67221"),
    "pillow": ("12.2", "bomb in FITS files, CVE-2026-40192; write outside of PSD tiles, CVE-2026-25990"),
    "pydantic": ("2.4", "a pattern that takes forever, CVE-2024-3772"),
    "pyyaml": ("5.4", "code in full_load, CVE-2020-14343"),
    "starlette": ("1.0.1", "Range headers that take forever, CVE-2025-62727; the Host header in request.url"),
    "torch": ("2.10", "weights_only that runs code, CVE-2025-32434 and CVE-2026-24747"),
    "transformers": ("5", "patterns that take forever, code from checkpoints"),
    "uvicorn": ("0.11.7", "log injection, CVE-2020-7694"),
}


def requirements() -> Iterator[Requirement]:
    """All that pyproject.toml asks for, vaelab's own extras left out."""
    extras = PROJECT["optional-dependencies"].values()
    for text in [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]:
        requirement = Requirement(text)
        if requirement.name != "vaelab":
            yield requirement


def lowest(requirement: Requirement) -> Version:
    return max((Version(s.version) for s in requirement.specifier if s.operator in (">=", "==")), default=Version("0"))


@pytest.mark.parametrize("name", MENDED)
def test_no_version_with_a_known_hole_is_allowed(name: str) -> None:
    asked = [requirement for requirement in requirements() if requirement.name == name]
    assert asked, f"{name} is no longer asked for: take it off the list"
    for requirement in asked:
        assert lowest(requirement) >= Version(MENDED[name][0]), MENDED[name][1]


def test_every_package_has_the_same_minimum_in_every_extra() -> None:
    found: dict[str, set[Version]] = {}
    for requirement in requirements():
        found.setdefault(requirement.name, set()).add(lowest(requirement))
    assert not {name: versions for name, versions in found.items() if len(versions) > 1}


def test_what_users_install_has_a_minimum() -> None:
    ours = [*PROJECT["dependencies"], *(t for e, extra in PROJECT["optional-dependencies"].items() if e not in ("test", "bench") for t in extra)]  # fmt: skip
    for requirement in map(Requirement, ours):
        assert requirement.name == "vaelab" or lowest(requirement) > Version("0"), requirement


def test_the_constraints_are_versions_that_the_project_allows() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    for line in (line for line in lines if line and not line.startswith("#")):
        pin = Requirement(re.sub(r"\s+#.*", "", line))
        allowed = [requirement for requirement in requirements() if requirement.name == pin.name]
        assert allowed and all(requirement.specifier.contains(lowest(pin)) for requirement in allowed), line

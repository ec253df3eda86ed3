"""An installed vaelab does its main jobs: run by  make release  with the Python of a fresh environment, and by test_release.py.

    python smoke_install.py EXAMPLE_LOG

Needs nothing but vaelab's own dependencies.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path


def vaelab(*arguments: str, code: int = 0) -> str:
    """What the command prints."""
    done = subprocess.run([sys.executable, "-m", "vaelab", *arguments], capture_output=True, text=True)
    assert done.returncode == code, f"vaelab {' '.join(arguments)} ended with {done.returncode}: {done.stderr}"
    return done.stdout


def main(log: str) -> None:
    import vaelab as package

    assert vaelab("--version").split()[1] == package.__version__
    assert "posterior-collapse" in vaelab("diagnose", log, code=1)
    document = json.loads(vaelab("diagnose", log, "--format", "json", code=1))
    assert document["schema"] == json.loads(vaelab("schema"))["title"] and document["runs"][0]["status"] == "stop"
    assert vaelab("diagnose", log, "--format", "html", code=1).startswith("<!doctype html>")  # templates and scripts
    assert "kl_weight" in vaelab("explain", "C2") and "radio-map" in vaelab("presets")
    assert "LNT209" in vaelab("lint", "radio-map")
    assert "radiodiff" in vaelab("watch", log, "--once")
    with tempfile.TemporaryDirectory() as folder:
        vaelab("report", log, "-o", folder)
        assert (Path(folder) / "report.html").stat().st_size > 50_000
    heavy = {"torch", "pandas", "polars", "scipy"} & set(sys.modules)
    assert not heavy and (Path(package.__file__).parent / "py.typed").is_file()
    print(f"vaelab {package.__version__} works with Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main(sys.argv[1])

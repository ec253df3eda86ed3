"""vaelab: read the log of a VAE-GAN training run and say what it means.

``vaelab.read(path)`` gives a ``Run``, ``vaelab.diagnose(run)`` a ``Diagnosis``; both show themselves in notebooks.
``vaelab.Monitor`` does the same inside a training loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vaelab.diagnosis import Diagnosis, diagnose
    from vaelab.errors import ConfigError, LogError, VaelabError
    from vaelab.monitor import Monitor
    from vaelab.readers import read, read_all
    from vaelab.run import Run

__version__ = "0.1.0"

__all__ = [
    "ConfigError", "Diagnosis", "LogError", "Monitor", "Run", "VaelabError", "__version__", "diagnose", "read", "read_all",
]  # fmt: skip

_HOMES = {
    "Diagnosis": "vaelab.library",
    "diagnose": "vaelab.library",
    "read": "vaelab.library",
    "read_all": "vaelab.library",
    "Run": "vaelab.run",
    "Monitor": "vaelab.monitor",
    "LogError": "vaelab.errors",
    "ConfigError": "vaelab.errors",
    "VaelabError": "vaelab.errors",
}


def __getattr__(name: str) -> Any:
    # lazy: ``vaelab --help`` must not pay for numpy
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'vaelab' has no attribute {name!r}")

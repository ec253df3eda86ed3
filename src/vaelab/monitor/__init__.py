"""Monitor: the judgement of ``vaelab diagnose`` inside anyone's training loop.

``m = Monitor(config)``, ``m.log(step, {...})``, ``m.status``. It needs numpy only; tensors of torch are taken as they are.
"""

from __future__ import annotations

from vaelab.monitor.monitor import Monitor

__all__ = ["Monitor"]

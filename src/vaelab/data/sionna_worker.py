"""Traces radio maps with Sionna RT, as a program of its own: Sionna RT ends its whole process when LLVM is too old.

It is run as a script and imports nothing of vaelab. It reads one request a line from standard input (JSON) and answers
each with one line on standard output; arrays go through a file. Row 0 of an array is the north (largest y).

    {"do": "bounds", "scene": NAME}                              -> {"low": [x, y], "high": [x, y]} in m
    {"do": "heights", "scene", "centre", "size", "cells", "file"} -> {}; float32 (cells, cells), m above the ground plane
    {"do": "trace", ..., "tx": [x, y, z], "frequency", "rays", "depth"} -> {}; path gain, linear, float32 (cells, cells)
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import Any

# Height of the receivers, as in RadioMapSeer.
RECEIVER_HEIGHT = 1.5


class Tracer:
    """The scene that is loaded, and the answers about it."""

    def __init__(self) -> None:
        self.rt, self.mitsuba = import_module("sionna.rt"), import_module("mitsuba")
        self.solver = self.rt.RadioMapSolver()
        self.name, self.scene = "", None

    def load(self, name: str) -> Any:
        """The named scene, with one transmitter of an isotropic vertical antenna."""
        if self.name != name:
            rt = self.rt
            scene = rt.load_scene(getattr(rt.scene, name))
            antenna = rt.PlanarArray(
                num_rows=1, num_cols=1, vertical_spacing=0.5, horizontal_spacing=0.5, pattern="iso", polarization="V"
            )
            scene.tx_array = scene.rx_array = antenna
            scene.add(rt.Transmitter("tx", position=[0.0, 0.0, 0.0]))
            self.name, self.scene = name, scene
        return self.scene

    def bounds(self, request: dict[str, Any]) -> dict[str, Any]:
        box = self.load(request["scene"]).mi_scene.bbox()
        return {"low": [float(box.min[0]), float(box.min[1])], "high": [float(box.max[0]), float(box.max[1])]}

    def heights(self, request: dict[str, Any]) -> dict[str, Any]:
        """What a vertical ray from above meets first."""
        import numpy as np

        scene, cells, (x, y) = self.load(request["scene"]).mi_scene, request["cells"], request["centre"]
        offset = ((np.arange(cells) + 0.5) / cells - 0.5) * request["size"]
        grid_x, grid_y = np.meshgrid(x + offset, y - offset)
        top = np.full(grid_x.size, float(scene.bbox().max[2]) + 10, np.float32)
        point = self.mitsuba.Point3f
        start = point(grid_x.ravel().astype(np.float32), grid_y.ravel().astype(np.float32), top)
        hit = scene.ray_intersect(self.mitsuba.Ray3f(start, self.mitsuba.Vector3f(0, 0, -1)))
        height = np.where(np.array(hit.is_valid()), np.array(hit.p)[2], 0)
        np.save(request["file"], height.reshape(cells, cells).astype(np.float32))
        return {}

    def trace(self, request: dict[str, Any]) -> dict[str, Any]:
        """Reflection and first-order diffraction. Refraction through walls is left out: it is chosen by chance at each
        wall, which leaves strong speckle behind buildings at any affordable number of rays."""
        import numpy as np

        scene, size = self.load(request["scene"]), request["size"]
        scene.frequency = request["frequency"]
        scene.get("tx").position = request["tx"]
        gain = self.solver(
            scene,
            center=[*request["centre"], RECEIVER_HEIGHT],
            orientation=[0, 0, 0],
            size=[size, size],
            cell_size=[size / request["cells"]] * 2,
            samples_per_tx=request["rays"],
            max_depth=request["depth"],
            refraction=False,
            diffraction=True,
        ).path_gain
        np.save(request["file"], np.array(gain)[0, ::-1].astype(np.float32))
        return {}


def main() -> None:
    """Answers requests until standard input ends."""
    # what Sionna or Mitsuba print must not get between the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        tracer = Tracer()
    except ImportError as error:
        answers.write(json.dumps({"missing": str(error)}) + "\n")
        return
    for line in sys.stdin:
        request = json.loads(line)
        answers.write(json.dumps(getattr(tracer, request["do"])(request)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()

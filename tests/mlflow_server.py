"""MLflow's own tracking server over a database in a folder: ``python mlflow_server.py FOLDER`` prints its port and serves.

The application of ``mlflow server`` without the programs that the full package runs it in.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The address of a server that ends with the block."""
    command = [sys.executable, __file__, str(folder)]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (
        (folder / "server.log").open("w") as log,
        subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=log) as server,
    ):
        try:
            assert server.stdout is not None
            port = next((line.split()[1] for line in server.stdout if line.startswith("port ")), None)
            assert port, (folder / "server.log").read_text()
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def main(folder: str) -> None:
    os.environ["_MLFLOW_SERVER_FILE_STORE"] = f"sqlite:///{folder}/mlflow.db"
    os.environ["_MLFLOW_SERVER_ARTIFACT_ROOT"] = folder
    from mlflow.server import app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, app, threaded=True)
    print(f"port {server.server_port}")
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])

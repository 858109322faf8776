"""Runs a function on n gloo ranks, each a process of its own, and returns what every rank returned."""

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

TIMEOUT_S = 240
MAIN = "import sys; from ranks import child; child(sys.argv[1])"


def on_ranks(count: int, function: str, arguments: dict[str, Any], folder: Path) -> list[Any]:
    """`function` is "module:name", found on the path of the tests."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    (folder / "task.pkl").write_bytes(pickle.dumps((function, arguments)))
    base = os.environ | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    base["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    children = [
        subprocess.Popen(
            [sys.executable, "-c", MAIN, str(folder)],
            env=base | {"RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(count)
    ]
    try:
        outputs = [child.communicate(timeout=TIMEOUT_S)[0] for child in children]
    finally:
        for child in children:
            child.kill()
    failed = [output[-3000:] for child, output in zip(children, outputs, strict=True) if child.returncode]
    assert not failed, failed[0]
    return [pickle.loads((folder / f"rank_{rank}.pkl").read_bytes()) for rank in range(count)]


def child(folder: str) -> None:
    """What each process runs."""
    from importlib import import_module

    function, arguments = pickle.loads((Path(folder) / "task.pkl").read_bytes())
    module, name = function.split(":")
    result = getattr(import_module(module), name)(**arguments)
    (Path(folder) / f"rank_{os.environ['RANK']}.pkl").write_bytes(pickle.dumps(result))

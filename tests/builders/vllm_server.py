"""A real `vllm serve` in a process of its own. Run as a program, this file is that server."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rl.import_fixes  # noqa: F401

import httpx

from builders.ports import held_ports

ROOT = Path(__file__).parents[2]
STARTER = ROOT / "models" / "starter"
LOCAL = "127.0.0.1"
NAME = "starter"
START_S = 240
ENV = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TORCHDYNAMO_DISABLE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_LOGGING_LEVEL": "WARNING",
    "VLLM_NO_USAGE_STATS": "1",
}
OPTIONS = {
    "served-model-name": NAME,
    "host": LOCAL,
    "dtype": "float32",
    "max-model-len": "1024",
    "max-num-seqs": "16",
    "kv-cache-memory-bytes": str(32 * 2**20),
    "limit-mm-per-prompt": '{"image": 2, "video": 0}',
}


@contextmanager
def serving(model: Path, log: Path) -> Iterator[str]:
    """Start a server of the model; yield its address up to /v1 once it answers."""
    with held_ports(1) as (port,), log.open("w") as file:
        options = [f"--{name}={value}" for name, value in {**OPTIONS, "port": str(port)}.items()]
        server = subprocess.Popen(
            [sys.executable, __file__, "serve", str(model), *options, "--enforce-eager", "--skip-mm-profiling"],
            cwd=ROOT,
            env=os.environ | ENV | {"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        address = f"http://{LOCAL}:{port}"
        try:
            _wait(server, f"{address}/health", log)
            yield f"{address}/v1"
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait(10)


def _wait(server: subprocess.Popen, health: str, log: Path) -> None:
    deadline = time.monotonic() + START_S
    while True:
        assert server.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, f"no server in {START_S} s: {log.read_text()[-3000:]}"
        try:
            if httpx.get(health, trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.5)


def register() -> None:
    """Register the model class as rollout/engine.py does; vLLM would import it in a process without rl.import_fixes."""
    from vllm import ModelRegistry
    from vllm.model_executor.models.qwen2_5_vl import Qwen2_5_VLForConditionalGeneration

    ModelRegistry.register_model("Qwen2_5_VLForConditionalGeneration", Qwen2_5_VLForConditionalGeneration)


def serve() -> None:
    """Run `vllm serve` without its console script, which imports torchvision before rl.import_fixes can mend it."""
    from vllm.entrypoints.cli.serve import ServeSubcommand
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser, command = FlexibleArgumentParser(), ServeSubcommand()
    command.subparser_init(parser.add_subparsers(dest="subparser"))
    arguments = parser.parse_args()
    command.validate(arguments)
    command.cmd(arguments)


# The engine's process runs this file again as __mp_main__.
if __name__ in ("__main__", "__mp_main__"):
    register()
if __name__ == "__main__":
    serve()

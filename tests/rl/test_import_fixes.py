"""torchvision can be imported whichever build of it is installed."""

import subprocess
import sys
from pathlib import Path

from rl.import_fixes import misses_schemas

import pytest


@pytest.mark.parametrize(
    ("torch_cuda", "version", "missing"),
    [
        (None, "__version__ = '0.28.0+cu130'", True),
        (None, "__version__ = '0.28.0+cpu'", False),
        (None, "__version__ = '0.28.0'", False),
        (None, "", False),
        ("13.0", "__version__ = '0.28.0+cu130'", False),
    ],
)
def test_schemas_are_missing_only_for_a_cuda_torchvision_beside_a_cpu_torch(torch_cuda, version, missing):
    assert misses_schemas(torch_cuda, version) is missing


@pytest.mark.slow
def test_torchvision_imports_and_its_broken_companions_are_hidden():
    code = (
        "import rl.import_fixes, torch, torchvision; from transformers.utils import is_torchaudio_available, "
        "is_torchcodec_available; found = is_torchaudio_available() or is_torchcodec_available(); "
        "print(torchvision.ops.nms.__name__, torch.version.cuda or found)"
    )
    run = {"capture_output": True, "text": True, "timeout": 120, "cwd": Path(__file__).parents[2]}
    done = subprocess.run([sys.executable, "-c", code], check=False, **run)
    assert done.returncode == 0, done.stderr
    name, companions = done.stdout.split()
    assert name == "nms" and (companions == "False" or companions[0].isdigit())

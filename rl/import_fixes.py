"""Fixes for what libraries do on import; import this module before transformers, vllm and verl.

A CUDA build of torchvision beside a CPU build of torch fails on import with "operator torchvision::nms does not exist",
because it registers fake kernels for operators that its CUDA library would have defined. Only two schemas are missing,
so this module defines them. A CPU build of torchvision defines them itself, and a second definition would be an error.

CUDA builds of torchaudio and torchcodec fail beside a CPU build of torch too. vLLM installs them, and transformers
imports them if it finds them. Assay needs no audio or video, so this module hides them.

transformers imports scikit-learn, which takes two seconds, for one kind of assisted generation. Assay does not use it,
so this module tells transformers that scikit-learn is not installed.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import torch


def misses_schemas(torch_cuda: str | None, torchvision_version: str) -> bool:
    """Return True if torchvision will lack its operators; the text of its version.py has +cuXYZ or +cpu."""
    return torch_cuda is None and "+cu" in torchvision_version


def _torchvision_version() -> str:
    spec = find_spec("torchvision")
    return Path(spec.origin).with_name("version.py").read_text() if spec and spec.origin else ""


def _define_schemas() -> torch.library.Library:
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return library


def _hide(*packages: str) -> None:
    """Make imports of the packages and searches for them fail, as if they were not installed."""
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]


def _hide_sklearn_from_transformers() -> None:
    from transformers import utils

    utils.is_sklearn_available = utils.import_utils.is_sklearn_available = lambda: False


if torch.version.cuda is None:
    _hide("torchaudio", "torchcodec")
# Held for the life of the process: the schemas vanish with the library object.
_LIBRARY = _define_schemas() if misses_schemas(torch.version.cuda, _torchvision_version()) else None
# Last, because it imports transformers, which looks for torchaudio.
_hide_sklearn_from_transformers()

"""Mend what libraries do when they are imported; comes before transformers, vllm and verl.

A CUDA build of torchvision beside a CPU build of torch dies with "operator torchvision::nms does not exist", because
it registers fake kernels for operators that its CUDA library would have defined. The two schemas are all it misses, so
they are defined here. A CPU build of torchvision defines them itself, and a second definition would be an error.

CUDA builds of torchaudio and torchcodec, which vLLM brings along and transformers imports where it finds them, die too.
Nothing here hears or plays, so they are hidden.

transformers imports scikit-learn, which takes two seconds, for one kind of assisted generation. Nothing here uses that,
so transformers is told that there is none.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

import torch


def misses_schemas(torch_cuda: str | None, torchvision_version: str) -> bool:
    """Whether torchvision's operators will be missing; the text of its version.py says +cuXYZ or +cpu."""
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
    """Importing them fails and looking for them finds nothing, as if they were not installed."""
    sys.modules.update(dict.fromkeys(packages))  # type: ignore[arg-type]


def _tell_of_no_sklearn() -> None:
    from transformers import utils

    utils.is_sklearn_available = utils.import_utils.is_sklearn_available = lambda: False


if torch.version.cuda is None:
    _hide("torchaudio", "torchcodec")
# Kept for the life of the process: the schemas go when the library object does.
_LIBRARY = _define_schemas() if misses_schemas(torch.version.cuda, _torchvision_version()) else None
# Last: transformers looks for torchaudio when it is imported.
_tell_of_no_sklearn()

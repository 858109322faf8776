"""The state of a checkpoint, read without running what a stranger wrote into it.

torch's distributed checkpoints are pickles around tensors, and reading a pickle may call any function that it names.
"""

import io
import pickle
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint._nested_dict import set_element
from torch.distributed.checkpoint.metadata import Metadata
from torch.distributed.checkpoint.planner import ReadItem

from rl.faults import UserError, named

MADE_OF = {
    "torch.distributed.checkpoint.metadata": {
        "BytesStorageMetadata",
        "ChunkStorageMetadata",
        "Metadata",
        "MetadataIndex",
        "StorageMeta",
        "TensorProperties",
        "TensorStorageMetadata",
        "_MEM_FORMAT_ENCODING",
    },
    "torch.distributed.checkpoint.filesystem": {"_StorageInfo", "_StoragePrefix"},
    "torch": {"Size", "device"},
    "torch.serialization": {"_get_layout"},
    "pathlib": {"PosixPath"},
}
"""Classes and functions that the metadata of a checkpoint may name, by module."""


def load_state(state: dict[str, Any], folder: Path, group: dist.ProcessGroup | None) -> None:
    """Load the state from the folder in place; all ranks of the group have to call it."""
    try:
        dcp.load(state, storage_reader=PlainReader(folder), planner=PlainPlanner(), process_group=group)
    except dcp.CheckpointException as error:
        cause = cause_of(error)
        if isinstance(cause, UserError):
            raise UserError(f"{folder}: {cause}; take another checkpoint") from error
        raise cause from error


def cause_of(error: dcp.CheckpointException) -> BaseException:
    """Return the exception of the first rank that failed; what torch raises for it is no Exception itself."""
    return next(iter(error.failures.values()))[0]


class PlainReader(dcp.FileSystemReader):
    """A reader whose metadata names nothing but MADE_OF and torch's dtypes."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._file = folder / ".metadata"

    def read_metadata(self, *_: Any, **__: Any) -> Metadata:
        try:
            with self._file.open("rb") as file:
                metadata = _PlainUnpickler(file).load()
        except (
            pickle.UnpicklingError,
            AttributeError,
            EOFError,
            ImportError,
            IndexError,
            TypeError,
            ValueError,
        ) as error:
            raise UserError(f"{self._file}: not the metadata of a checkpoint ({named(error)})") from error
        if not isinstance(metadata, Metadata):
            raise UserError(f"{self._file}: not the metadata of a checkpoint but {type(metadata).__name__}")
        return metadata


class PlainPlanner(dcp.DefaultLoadPlanner):
    """A planner that reads values other than tensors as torch reads weights: numbers, texts, lists and dicts."""

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        name = read_item.dest_index.fqn
        try:
            plain = torch.load(value, weights_only=True)
        except pickle.UnpicklingError as error:
            raise UserError(f"{name} holds more than numbers and texts, and reading it could run code") from error
        set_element(self.original_state_dict, self.mappings[name], plain)


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        is_dtype = module == "torch" and isinstance(vars(torch).get(name), torch.dtype)
        if is_dtype or name in MADE_OF.get(module, ()):
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no checkpoint needs")

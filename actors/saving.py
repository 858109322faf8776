"""A learner's state on disk: copied at once, written while training goes on, loaded by any number of ranks."""

import errno
import hashlib
import json
import os
import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.metadata import BytesStorageMetadata, TensorStorageMetadata
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from actors.state_reading import PlainReader, cause_of, load_state
from rl.checkpoints import STATE, Record, commit, unfinished
from rl.faults import UserError
from rl.seals import Seal, seal_all

DISK_FULL = ("No space left on device", "Disk quota exceeded")
"""Words with which Python, torch and safetensors, whose error is no OSError, say that a disk is full."""
TRAINED = StateDictOptions(ignore_frozen_params=True)
SAMPLED_NUMBERS = 256
"""Count of numbers of each tensor in a fingerprint."""


class Saver:
    """Writer of a rank's checkpoints, one at a time; rank 0 renames the finished folder."""

    def __init__(self, policy: nn.Module, optimizer: Optimizer, schedule: LRScheduler) -> None:
        self._policy, self._optimizer, self._schedule = policy, optimizer, schedule
        # A group of its own: the writing thread must not get between two collectives of the training.
        self._group = dist.new_group(backend="gloo")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="saver")
        self._writing: Future[None] | None = None

    def save(self, folder: Path, record: Record, write_weights: Callable[[Path], None]) -> None:
        """Copy the state now and write it in a thread; rank 0 also calls `write_weights` with the folder."""
        self.finish()
        written = unfinished(folder, record.epoch)
        staged = dcp.async_save(self._state(), checkpoint_id=written / STATE, process_group=self._group)
        assert isinstance(staged, Future)
        self._writing = self._thread.submit(self._write, staged, folder, record, write_weights)

    def _write(self, staged: Future, folder: Path, record: Record, write_weights: Callable[[Path], None]) -> None:
        with _disk_named(folder):
            staged.result()
            written = unfinished(folder, record.epoch)
            seals = self._gathered_seals(written)
            if dist.get_rank() == 0:
                write_weights(written)
                commit(folder, record, seals)

    def _gathered_seals(self, written: Path) -> dict[str, Seal]:
        """Let each rank read back and seal its own part of the state; return all seals on rank 0, {} elsewhere."""
        own = (written / STATE).glob(f"__{dist.get_rank()}_*.distcp")
        mine: dict[str, Seal] | OSError
        try:
            mine = seal_all(written, own)
        except OSError as error:
            # Told to rank 0, which would wait for this rank otherwise.
            mine = error
        everyone: list[Any] = [None] * dist.get_world_size()
        dist.gather_object(mine, everyone if dist.get_rank() == 0 else None, group=self._group)
        for seals in (mine, *filter(None, everyone)):
            if isinstance(seals, OSError):
                raise seals
        return {name: seal for seals in filter(None, everyone) for name, seal in seals.items()}

    def finish(self) -> None:
        """Wait until the last save is written; raise its failure."""
        if self._writing:
            writing, self._writing = self._writing, None
            writing.result()

    def restore(self, folder: Path) -> None:
        """Load the state of a checkpoint, whatever number of ranks wrote it."""
        state = self._state()
        reader = PlainReader(folder / STATE)
        _check_same_tensors(state["model"], reader.read_metadata().state_dict_metadata, folder)
        if _random_key() not in reader.read_metadata().state_dict_metadata:
            # More ranks than before: this one draws as it would have in a new run.
            del state[_random_key()]
        load_state(state, folder / STATE, self._group)
        set_state_dict(
            self._policy,
            self._optimizer,
            model_state_dict=state["model"],
            optim_state_dict=state["optimizer"],
            options=StateDictOptions(ignore_frozen_params=True, strict=False),
        )
        self._schedule.load_state_dict(state["schedule"])
        if _random_key() in state:
            _set_random_state(state[_random_key()])

    def _state(self) -> dict[str, Any]:
        randomness = _random_state()
        model, optimizer = get_state_dict(self._policy, self._optimizer, options=TRAINED)
        return {
            "model": model,
            "optimizer": optimizer,
            "schedule": self._schedule.state_dict(),
            _random_key(): randomness,
        }


def fingerprint(model: nn.Module) -> str:
    """Return a digest of the weights that a run starts from, of some numbers of each tensor."""
    digest = hashlib.sha256()
    for name, parameter in model.named_parameters():
        numbers = parameter.detach().flatten()
        stride = max(1, len(numbers) // SAMPLED_NUMBERS)
        digest.update(f"{name}{tuple(parameter.shape)}".encode() + numbers[::stride].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


@contextmanager
def _disk_named(folder: Path) -> Iterator[None]:
    """Raise what says that the disk is full as an OSError that names the checkpoint."""
    try:
        yield
    except (Exception, CheckpointException) as error:
        cause = cause_of(error) if isinstance(error, CheckpointException) else error
        if any(words in str(cause) for words in DISK_FULL):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        if cause is error:
            raise
        raise cause from error


def _check_same_tensors(wanted: dict[str, Any], stored: dict[str, Any], folder: Path) -> None:
    shapes = {f"model.{name}": tuple(tensor.shape) for name, tensor in wanted.items()}
    found = {
        name: tuple(item.size) if isinstance(item, TensorStorageMetadata) else None
        for name, item in stored.items()
        if name.startswith("model.") and not isinstance(item, BytesStorageMetadata)
    }
    differing = sorted(name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name))
    if differing:
        name = differing[0]
        raise UserError(
            f"{folder}: the checkpoint of another model: {name.removeprefix('model.')} is "
            f"{found.get(name) or 'missing'} there and {shapes.get(name) or 'not trained'} here; "
            "give model.* as in that run, or another resume="
        )


def _random_key() -> str:
    return f"random_{dist.get_rank()}"


def _random_state() -> str:
    """Return the states of this process's random generators as JSON, which runs no code when it is read."""
    _, key, position, has_gauss, gauss = np.random.get_state()
    assert isinstance(key, np.ndarray)
    states = {
        "python": random.getstate(),
        "numpy": ("MT19937", key.tolist(), position, has_gauss, gauss),
        "torch": torch.get_rng_state().tolist(),
    }
    if torch.cuda.is_available():
        states["cuda"] = torch.cuda.get_rng_state().tolist()
    return json.dumps(states)


def _set_random_state(text: str) -> None:
    states = json.loads(text)
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    np.random.set_state(tuple(states["numpy"]))
    torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))
    if "cuda" in states and torch.cuda.is_available():
        torch.cuda.set_rng_state(torch.tensor(states["cuda"], dtype=torch.uint8))

"""A checkpoint for which the disk has no room is named by the rank that writes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from actors.saving import Saver
from builders.checkpoint_folders import record
from rl.checkpoints import STATE, checkpoint_folder, unfinished


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[Saver]:
    """Make the saver of a group of one rank."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    policy = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(policy.parameters())
    yield Saver(policy, optimizer, LambdaLR(optimizer, lambda step: 1.0))
    dist.destroy_process_group()


@pytest.mark.parametrize("file", [f"{STATE}/__0_0.distcp", "hf"])
def test_a_full_disk_is_told_with_the_name_of_the_checkpoint(file: str, saver: Saver, tmp_path: Path):
    folder = checkpoint_folder(tmp_path, 3)
    full = unfinished(folder, 1) / file
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    saver.save(folder, record(3), lambda written: write_weights(written / "hf"))
    with pytest.raises(OSError, match=rf"No space left on device: '{folder}'"):
        saver.finish()
    assert not folder.exists()


def write_weights(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(b"weights")

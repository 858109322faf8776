"""A checkpoint for which the disk has no room is named by the rank that writes it."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from actors.saving import Saver
from builders.checkpoint_folders import record
from builders.ranks import Ranks
from rl.checkpoints import STATE, checkpoint_folder, unfinished

pytestmark = pytest.mark.slow


def saved_on_a_full_disk(_: int, run: Path, file: str) -> str:
    """Save where a file leads to a full device; return what is told."""
    dist.init_process_group("gloo", init_method=f"file://{run}/meeting", rank=0, world_size=1)
    policy = nn.Linear(4, 4)
    optimizer = torch.optim.AdamW(policy.parameters())
    saver = Saver(policy, optimizer, LambdaLR(optimizer, lambda step: 1.0))
    folder = checkpoint_folder(run, 3)
    full = unfinished(folder, 1) / file
    full.parent.mkdir(parents=True)
    full.symlink_to("/dev/full")
    saver.save(folder, record(3), lambda written: write_weights(written / "hf"))
    try:
        saver.finish()
    except OSError as error:
        return str(error)
    finally:
        dist.destroy_process_group()
    return "nothing"


@pytest.mark.parametrize("file", [f"{STATE}/__0_0.distcp", "hf"])
def test_a_full_disk_is_told_with_the_name_of_the_checkpoint(file: str, one_rank: Ranks, tmp_path: Path):
    (told,) = one_rank.run(saved_on_a_full_disk, tmp_path, file)
    folder = checkpoint_folder(tmp_path, 3)
    assert told == f"[Errno 28] No space left on device: '{folder}'"
    assert not folder.exists()


def write_weights(file: Path) -> None:
    with file.open("wb") as opened:
        opened.write(b"weights")

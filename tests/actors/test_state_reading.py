"""The state of a stranger's checkpoint runs no code when it is read."""

import os
import pickle
from pathlib import Path

import pytest
import torch
import torch.distributed.checkpoint as dcp

from actors.state_reading import PlainReader, load_state
from rl.faults import UserError

STATE = {"model": {"weight": torch.arange(6.0).reshape(2, 3)}, "schedule": {"last_epoch": 3, "rates": [0.1, None]}}


class Evil:
    """Something that runs a command when it is unpickled."""

    def __init__(self, proof: Path) -> None:
        self._proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self._proof),)


def saved(folder: Path, state: dict) -> Path:
    dcp.save(state, checkpoint_id=folder, no_dist=True)
    return folder


def load(folder: Path, state: dict) -> dict:
    PlainReader(folder).read_metadata()
    load_state(state, folder, None)
    return state


def blank() -> dict:
    return {"model": {"weight": torch.zeros(2, 3)}, "schedule": {"last_epoch": 0, "rates": []}}


def test_what_torch_wrote_is_read_back(tmp_path):
    found = load(saved(tmp_path / "state", STATE), blank())
    assert torch.equal(found["model"]["weight"], STATE["model"]["weight"])
    assert found["schedule"] == STATE["schedule"]


def test_metadata_that_would_run_code_is_refused_unrun(tmp_path):
    folder, proof = saved(tmp_path / "state", STATE), tmp_path / "proof"
    (folder / ".metadata").write_bytes(pickle.dumps(Evil(proof)))
    with pytest.raises(UserError, match=r"\.metadata: not the metadata of a checkpoint \(.*it names posix\.mkdir"):
        load(folder, blank())
    assert not proof.exists()


def test_values_that_would_run_code_are_refused_unrun(tmp_path):
    folder, proof = tmp_path / "state", tmp_path / "proof"
    saved(folder, {**STATE, "schedule": {"last_epoch": 3, "rates": Evil(proof)}})
    with pytest.raises(UserError, match=r"state: schedule\.rates holds more than numbers and texts"):
        load(folder, blank())
    assert not proof.exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"text", pickle.dumps({"a": 1}), pickle.dumps(torch.float32)])
def test_what_is_no_metadata_is_refused_in_a_sentence(tmp_path, content):
    folder = saved(tmp_path / "state", STATE)
    (folder / ".metadata").write_bytes(content)
    with pytest.raises(UserError, match=r"\.metadata: not the metadata of a checkpoint"):
        load(folder, blank())

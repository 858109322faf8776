"""assay.json: how a model was asked, beside its weights."""

from pathlib import Path

import pytest

from conf.keys import walk
from conf.schema import TrainConfig
from launch.run.folder import plain
from rl.asking import ASKED, FILE, asking_of, read_asking, write_asking
from rl.data.config import DataConfig


def test_what_is_written_is_read(tmp_path: Path):
    asking = asking_of(plain(TrainConfig(data=DataConfig(question="Ist das Glas heil?", square=112))))
    write_asking(tmp_path, asking)
    assert list(asking) == list(ASKED)
    assert read_asking(tmp_path) == asking
    assert asking["data.square"] == 112 and asking["data.task"] == "boxes" and asking["model.precision"] == "bfloat16"


def test_every_key_is_one_of_a_training():
    assert set(ASKED) <= {key.path for key in walk(TrainConfig)}


def test_a_folder_without_the_file_says_nothing(tmp_path: Path):
    assert read_asking(tmp_path) == {}


@pytest.mark.parametrize("content", ["{", "[]", '{"data.root": "photos"}'])
def test_a_broken_file_is_named(content: str, tmp_path: Path):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=f"{tmp_path}/{FILE}"):
        read_asking(tmp_path)

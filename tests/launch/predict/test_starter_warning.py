"""A starter that inspects photos which are not the demo's is warned of, in the terminal and on the page."""

import shutil
import time
from html import escape
from pathlib import Path

import rl.import_fixes  # noqa: F401

import pytest

from actors.config import ModelConfig
from builders.locked_folders import place
from conf.schema import PredictConfig
from launch.predict.album import Album, Drawing
from launch.predict.run import Inspection, read_work
from launch.run.ending import End, Ending
from rl.brake import Brake
from rl.data.config import DataConfig, Instructions
from rl.data.demo.synthesis import write_demo
from rl.timing import Timings
from rl.types import Task

STARTER = str(Path(__file__).parents[3] / "models/starter_yes_no")


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    root = tmp_path / "parts"
    write_demo(root, seed=0, num_parts=2)
    return root


def config(photos: Path) -> PredictConfig:
    data = DataConfig(instructions=Instructions.none, task=Task.yes_no, with_reference=False)
    return PredictConfig(input=str(photos), model=ModelConfig(path=STARTER), data=data)


def test_the_demos_parts_are_no_reason_for_a_warning(parts: Path, capsys):
    folder = parts / "wood/test"
    image = next(folder.rglob("*.png"))
    assert [read_work(config(each)).warnings for each in (folder, image)] == [[], []]
    assert "warning" not in capsys.readouterr().out


def test_photos_of_other_things_are_warned_of_in_the_terminal_and_on_the_page(parts: Path, tmp_path: Path, capsys):
    asked = config(shutil.copytree(parts / "wood/test", tmp_path / "photos"))
    work = read_work(asked)
    (sentence,) = work.warnings
    assert sentence.startswith(f"model.path={STARTER} is a starter or comes from one: ")
    assert f"such as those of input={tmp_path}/photos;" in sentence and sentence.endswith("e.g. model=qwen2_5_vl_3b")
    assert f"\nwarning: {sentence}\n" in capsys.readouterr().out
    album = Album(tmp_path, Drawing(heat_top=4.0, resize="nearest"), work.builder, work.photos, work.truth)
    began, timings = time.perf_counter(), Timings()
    where = place(tmp_path)
    run = Inspection(config=asked, place=where, work=work, album=album, brake=Brake(), began=began, timings=timings)
    run.record(End(ending=Ending.done, sentence=""))
    assert f"<h2>Warnings</h2><ul><li>{escape(sentence)}</li></ul>" in (tmp_path / "predictions.html").read_text()


def test_a_folder_of_another_thing_beside_the_demos_is_warned_of(parts: Path):
    shutil.move(parts / "wood", parts / "zipper")
    assert len(read_work(config(parts / "zipper/test")).warnings) == 1

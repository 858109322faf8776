"""`assay data` writes a folder, or refuses in one sentence."""

import json

import pytest

from conf.schema import DemoDataConfig
from launch.command.composing import open_composer
from launch.demo.data import main


@pytest.mark.parametrize("exists", [True, False])
def test_a_missing_or_empty_folder_is_written(tmp_path, capsys, exists):
    folder = tmp_path / "new" / "parts"
    if exists:
        folder.mkdir(parents=True)
    assert main(DemoDataConfig(output=str(folder), num_parts=2)) == 0
    written = [path for path in folder.glob("*/t*/*/*.png")]
    assert json.loads(capsys.readouterr().out) == {"output": str(folder), "images": len(written)} and written
    assert [path.name for path in folder.parent.iterdir()] == ["parts"]


def test_the_working_folder_can_be_written_when_it_is_empty(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert main(DemoDataConfig(output=".", num_parts=2)) == 0
    assert json.loads(capsys.readouterr().out)["images"] == len(list(folder.glob("*/t*/*/*.png"))) > 0


def test_a_file_as_output_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(ValueError) as raised:
        main(DemoDataConfig(output=str(tmp_path / "README.md")))
    assert str(raised.value) == f"{tmp_path / 'README.md'} is a file; give a folder: output=FOLDER"
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_a_folder_with_files_is_refused_and_kept(tmp_path):
    (tmp_path / "photo.png").write_bytes(b"mine")
    with pytest.raises(ValueError, match="is not empty; give another folder: output=FOLDER"):
        main(DemoDataConfig(output=str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_a_folder_that_holds_only_the_traceback_of_an_earlier_attempt_is_written(tmp_path):
    (tmp_path / "crash.txt").write_text("Traceback")
    main(DemoDataConfig(output=str(tmp_path), num_parts=2))
    assert not (tmp_path / "crash.txt").exists() and list(tmp_path.glob("*/test"))


@pytest.mark.parametrize("below", ["/proc/parts", "FILE/parts"])
def test_a_place_where_nothing_can_be_written_is_named(tmp_path, below):
    (tmp_path / "file").write_text("mine")
    output = below.replace("FILE", str(tmp_path / "file"))
    with pytest.raises(ValueError) as raised:
        main(DemoDataConfig(output=output, num_parts=2))
    assert str(raised.value).startswith(f"{output}: nothing can be written there (") and "\n" not in str(raised.value)
    assert str(raised.value).endswith("give another folder: output=FOLDER")


def test_the_verb_composes_without_groups():
    with open_composer("data", DemoDataConfig, []) as composer:
        assert composer.choices == {}
        assert composer.compose(["seed=3"]) == DemoDataConfig(seed=3)

"""Hostile files are read correctly or refused in one sentence, those that ever failed and new ones."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from rl.data.annotations import read_notes
from rl.data.images import open_image
from rl.data.knowledge.entries import read_mmad, read_yaml
from rl.data.lessons import read_lessons
from rl.faults import UserError
from tests.fuzz.corpora import CORPUS, Kept
from tests.fuzz.files import IMAGES, fault_of_sentence, time_limit, try_seeds

READERS = {
    "annotations.json": lambda path: read_notes(path.parent, IMAGES),
    "lessons.jsonl": lambda path: read_lessons(path, with_rejected=False),
    "k.json": read_mmad,
    "k.yaml": read_yaml,
    "photo.png": open_image,
    "photo.tif": open_image,
}
NUM_SEEDS = 1500


@pytest.mark.parametrize("kept", CORPUS, ids=lambda kept: f"{kept.name} with {kept.about}")
def test_a_file_that_once_failed_is_refused_in_a_sentence(kept: Kept, tmp_path: Path):
    path = tmp_path / "folder" / kept.name
    path.parent.mkdir()
    if isinstance(kept.make, bytes):
        path.write_bytes(kept.make)
    else:
        kept.make(path)
    with pytest.raises(UserError, match=re.escape(kept.says)) as raised, time_limit(10.0):
        READERS[kept.name](path)
    assert str(raised.value).startswith(f"{path}: ") and not fault_of_sentence(str(raised.value), tmp_path)


def test_hostile_files_of_many_seeds_are_read_correctly_or_refused_in_a_sentence():
    counts, failures, _ = try_seeds(range(NUM_SEEDS))
    assert failures == [], "repeat one with: python -m tests.fuzz.files --count 1 --seed SEED"
    # Neither outcome is the rule: what refuses all, or reads all, is not tried.
    assert min(counts["read"], counts["refused"]) > NUM_SEEDS / 5


@pytest.mark.slow
def test_the_command_prints_its_figures_as_a_line_of_json():
    command, root = [sys.executable, "-m", "tests.fuzz.files", "--count", "3", "--seed", "7"], Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=120, check=True)
    figures = json.loads(done.stdout)
    assert (figures["cases"], figures["seed"], figures["failed"]) == (3, 7, 0)
    assert figures["read"] + figures["refused"] == 3

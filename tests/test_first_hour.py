"""The commands of docs/first-hour.md work one after another on 200 photos, and print what the page shows."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_architecture import kept_files

from rl.data.demo.synthesis import DEFECTS, make_part

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/first-hour.md").read_text().partition("\n## From here\n")[0]
STEP = re.compile(r"^```bash\n(.*?)^```\n(?:\n```text\n(.*?)^```)?", flags=re.MULTILINE | re.DOTALL)
INSTALLING = ("git ", "cd ", "make ", "source ")
"""Commands that the environment of the tests has behind it."""
NUMBER = re.compile(r"\d+(?:[.,]\d+)*(?:e-?\d+)?")
NUM_REFERENCES, NUM_EACH, NUM_NEW = 40, 80, 12


def write_photos(folder: Path) -> None:
    """Draw 200 photos as a camera would leave them, and twelve new ones: JPEG, not square, without masks."""
    rng = np.random.default_rng(20)
    contrasts = (0.15, 0.45)

    def shoot(name: str, defect: str | None) -> None:
        drawn = Image.fromarray(make_part(rng, "metal", defect, contrasts).query)
        file = folder / f"{name}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        drawn.resize((448, 336), Image.Resampling.BICUBIC).save(file, quality=90)

    for number in range(NUM_REFERENCES):
        shoot(f"photos/bolt/train/good/{number + 1:03d}", None)
    for number in range(NUM_EACH):
        shoot(f"photos/bolt/test/good/{number + 1:03d}", None)
        defect = DEFECTS[number % len(DEFECTS)]
        shoot(f"photos/bolt/test/{defect}/{number + 1:03d}", defect)
    for number in range(NUM_NEW):
        defect = DEFECTS[number // 2 % len(DEFECTS)] if number % 2 else None
        shoot(f"new/{defect or 'good'}_{number + 1:02d}", defect)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the files of the repository, and lay the photos beside them."""
    folder = tmp_path_factory.mktemp("first") / "assay"
    for file in kept_files():
        copy = folder / file.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    write_photos(folder)
    return folder


@pytest.fixture(scope="module")
def environment(clone: Path) -> dict[str, str]:
    """Make `assay` the console command of the clone, in a shell without a key of W&B."""
    program = clone.parent / "bin/assay"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m launch "$@"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    # PYTHONPATH is for Ray's workers, which start in other folders; unbuffered, both outputs keep their common order.
    no_key = {"WANDB_API_KEY": "", "NETRC": os.devnull}
    return {**os.environ, **no_key, "PATH": path, "PYTHONPATH": str(clone), "PYTHONUNBUFFERED": "1"}


def pattern(line: str) -> str:
    """Return the regular expression of a shown line: any numbers, any spaces, and anything for "…"."""
    parts = [re.escape(NUMBER.sub("0", part)).replace("0", NUMBER.pattern) for part in line.split("…")]
    return ".*".join(re.sub(r"(\\ )+", r"\\s+", part) for part in parts)


def first_lost(shown: str, printed: str) -> str:
    """Return the first shown line that no printed line after that of the line before it has; "" if all are there."""
    position = 0
    for line in shown.splitlines():
        if not line.strip("… "):
            continue
        found = re.compile(pattern(line)).search(printed, position)
        if not found:
            return line
        ending = printed.find("\n", found.end())
        position = len(printed) if ending < 0 else ending
    return ""


PRINTED = "reading the data\nheld-out: accuracy 0.8\nstep 1/60\nstep 60/60\nheld-out: accuracy 1.0\n"


@pytest.mark.parametrize(
    ("shown", "lost"),
    [
        ("reading the data\n…\nstep 1/2\nheld-out: accuracy 0.5\n", ""),
        ("held-out: accuracy 0.5\nstep 1/2\nheld-out: accuracy 0.5\n", ""),
        ("step 1/2\nreading the data\n", "reading the data"),
        ("held-out: accuracy 0.5\nheld-out: accuracy 1.0\nstep 1/2\n", "step 1/2"),
        ("held-out: … 0.5\nheld-out: … 0.5\nheld-out: … 0.5\n", "held-out: … 0.5"),
        ("reading\nthe data\n", "the data"),
        ("done\n", "done"),
    ],
)
def test_shown_lines_are_found_in_their_order(shown, lost):
    assert first_lost(shown, PRINTED) == lost


def test_a_shown_line_is_found_with_other_numbers_and_what_was_left_out():
    assert re.search(pattern("ok  disk  … 12.5 GiB free"), "ok   disk     runs, 7 GiB free")
    assert not re.search(pattern("ok  disk  … 12.5 GiB free"), "ok   disk     runs, 7 MiB free")


@pytest.mark.slow
@pytest.mark.rare
@pytest.mark.skipif(shutil.which("nvidia-smi") is not None, reason="the page shows a machine without a GPU")
def test_every_command_of_the_page_works_and_prints_what_is_shown(clone, environment):
    for block, shown in STEP.findall(PAGE):
        commands = [line for line in block.replace("\\\n", " ").splitlines() if not line.startswith(INSTALLING)]
        printed = ""
        for command in commands:
            done = subprocess.run(
                command,
                shell=True,
                cwd=clone,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=900,
            )
            assert done.returncode == 0, f"{command}: {done.stdout}"
            printed += done.stdout
        lost = first_lost(shown, printed) if commands else ""
        assert not lost, f"{block}: {lost} is not in its place in\n{printed}"
    check_what_is_left(clone)


def check_what_is_left(clone: Path) -> None:
    """Check that the model learned and that the files are there which the page names; print the figures."""
    summary = json.loads((clone / "runs/photos/summary.json").read_text())
    before, after = (summary[name]["accuracy"] for name in ("heldout_before", "heldout_after"))
    assert before < after
    assert (clone / "runs/photos/report.html").is_file() and (clone / "models/photos/README.md").is_file()
    (page,) = clone.glob("runs/predict/*/predictions.html")
    lines = [json.loads(line) for line in page.with_name("predictions.jsonl").read_text().splitlines()]
    assert len(lines) == NUM_NEW and all(line["verdict"] for line in lines)
    right = sum((line["verdict"] == "normal") == line["id"].startswith("good") for line in lines)
    print(f"figure: held-out accuracy {before:.1%} → {after:.1%}; {right} of {len(lines)} new photos judged right")

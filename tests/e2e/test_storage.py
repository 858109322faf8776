"""A real run whose disk lies: what was damaged is passed over or refused, and the run ends as a straight one."""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.small_runs import FEW, SMALL, Run, assay, finished_run, measured, same_weights
from rl.checkpoints import checkpoint_folder, read_intact
from rl.faults import UserError

pytestmark = [pytest.mark.slow, pytest.mark.rare]
OPTIONS = (*SMALL, *FEW, "num_steps=6", "eval_every=2", "checkpoint.every=2", "checkpoint.keep_last=9")
PLACES = 200
"""Bytes of each file that are flipped, one at a time."""


@pytest.fixture(scope="module")
def straight(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("straight") / "run"
    return finished_run(folder, *OPTIONS, f"data.root={demo_data}", f"output={folder}", "logging.wandb=disabled")


def cut_off(straight: Run, folder: Path) -> Path:
    """Copy the run as if it had been killed between steps 4 and 6."""
    shutil.copytree(straight.folder, folder)
    shutil.rmtree(checkpoint_folder(folder, 6))
    (folder / "summary.json").unlink()
    return folder


def flip(path: Path, *places: int) -> None:
    with path.open("r+b") as file:
        for place in places:
            file.seek(place)
            (byte,) = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 0x40]))


def test_flipped_bytes_of_the_state_are_passed_over_and_the_run_ends_as_a_straight_one(
    demo_data: Path, straight: Run, tmp_path: Path
):
    folder = cut_off(straight, tmp_path / "run")
    state = max((checkpoint_folder(folder, 4) / "state").glob("*.distcp"), key=lambda path: path.stat().st_size)
    middle = state.stat().st_size // 2
    flip(state, *range(middle, middle + 64))
    options = [*OPTIONS, f"data.root={demo_data}", f"output={folder}", "logging.wandb=disabled", "resume=auto"]

    resumed = finished_run(folder, *options)

    assert f"passed over: {checkpoint_folder(folder, 4)}: the checkpoint is not whole, state/" in resumed.output
    assert measured(folder) == measured(straight.folder)
    same_weights(checkpoint_folder(folder, 6) / "hf", checkpoint_folder(straight.folder, 6) / "hf")
    assert checkpoint_folder(folder, 4).with_name("step_4.damaged").is_dir()


def damages(content: bytes, other: bytes, rng: random.Random) -> Iterator[bytes]:
    """Yield what a disk may make of a file: with a flipped bit, cut off, grown, zeroed, or swapped for another."""
    for _ in range(PLACES):
        changed = bytearray(content)
        changed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        yield bytes(changed)
    half, length = len(content) // 2, len(content)
    yield from (
        b"",
        content[:half],
        content[:-1],
        content + b"\0",
        bytes(length),
        content[:half] + bytes(length - half),
    )
    yield other


def test_every_kind_of_damage_to_every_file_of_a_checkpoint_is_seen(straight: Run, tmp_path: Path):
    rng, folder = random.Random(0), tmp_path / "step_4"
    shutil.copytree(checkpoint_folder(straight.folder, 4), folder)
    before, num_damages = read_intact(folder), 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        other = (checkpoint_folder(straight.folder, 2) / path.relative_to(folder)).read_bytes()
        for damaged in damages(content, other, rng):
            path.write_bytes(damaged)
            num_damages += 1
            try:
                # Some files are the same in both; another space between two words of the record says the same.
                assert read_intact(folder) == before and (damaged == content or path.name == "run.json"), path
            except UserError as error:
                assert str(folder) in str(error)
        path.write_bytes(content)
    print(f"figure: {num_damages:,} damages to the files of a real checkpoint, each seen or without effect")


@pytest.mark.parametrize("damage", ["flip", "swap"])
def test_changed_metrics_are_refused_before_an_actor_starts(
    demo_data: Path, straight: Run, tmp_path: Path, damage: str
):
    folder = cut_off(straight, tmp_path / "run")
    metrics = folder / "metrics.jsonl"
    if damage == "flip":
        flip(metrics, 40)
    else:
        lines = metrics.read_text().splitlines(keepends=True)
        metrics.write_text("".join([lines[0], *reversed(lines[1:])]))

    done = assay("train", *OPTIONS, f"data.root={demo_data}", f"output={folder}", "resume=auto")

    assert done.returncode == 2
    assert f"{metrics}: line " in done.stderr and "its digest differs" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr

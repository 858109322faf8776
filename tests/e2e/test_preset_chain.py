"""DCR²-AD's chain, killed at a random point of each stage, equals one without a break."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from builders.small_runs import Started, finished_run, kill_all, measured, same_weights, start

pytestmark = [pytest.mark.slow, pytest.mark.rare]
SMALL = (
    "experiment=dcr2ad_mini",
    "data.num_heldout=8",
    "algo.num_prompts=4",
    "checkpoint.every=2",
    "cluster.num_learners=1",
    "cluster.cpus_per_actor=0.25",
    "cluster.cpus_per_reward_worker=0.25",
    "logging.wandb=disabled",
    "stages.lessons.pairs.batch=8",
    "stages.sft.num_epochs=1",
    "stages.pairs.pairs.batch=8",
    "stages.pairs.pairs.margin=0.4",
)
STAGES = ("1_lessons", "2_sft", "3_pairs", "4_prefer")
WRITTEN = ("trajectories.jsonl", "pairs.jsonl")
FILES = {"1_lessons": WRITTEN, "3_pairs": ("selection.jsonl", *WRITTEN)}


def options(data: Path, output: Path, *more: str) -> list[str]:
    return [*SMALL, f"data.root={data}", f"output={output}", *more]


@pytest.fixture(scope="module")
def straight(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("straight")
    done = finished_run(folder, *options(demo_data, folder))
    assert list(done.summary["stages"]) == [name[2:] for name in STAGES]
    return folder


def num_steps(stage: Path) -> int:
    return len([row for row in measured(stage) if "actor/loss" in row])


@pytest.mark.timeout(1800)
def test_a_chain_killed_in_each_stage_equals_one_without_a_break(straight: Path, demo_data: Path, tmp_path: Path):
    num_selected = len((straight / "3_pairs/selection.jsonl").read_bytes().splitlines())
    num_taught, num_preferred = num_steps(straight / "2_sft"), num_steps(straight / "4_prefer")
    step, line = random.randint(1, num_taught - 1), random.randint(1, num_selected - 16)
    # In the first of two epochs, so that the second asks for the lines that are cut off.
    last = random.randint(1, num_preferred // 2 - 1)
    points = (
        f"step {step} of {num_taught} of SFT, sample {line} of {num_selected} of KR-RTS, step {last} of "
        f"{num_preferred} of KR-DPO"
    )
    print(points)

    def killed(wait: Callable[[Started], None]) -> list[str]:
        """Kill a chain when `wait` returns; return the stages that it has finished."""
        with start("train", *options(demo_data, tmp_path, "resume=auto")) as run:
            wait(run)
            kill_all(run)
        return list(json.loads((tmp_path / "chain.json").read_text())["done"])

    lessons, selection = (tmp_path / name for name in ("1_lessons/trajectories.jsonl", "3_pairs/selection.jsonl"))
    assert killed(lambda run: run.wait_for_lines(lessons, 1)) in ([], ["1_lessons"])
    assert killed(lambda run: run.wait_for_step(tmp_path / "2_sft", step)) == ["1_lessons"]
    assert killed(lambda run: run.wait_for_lines(selection, line)) == ["1_lessons", "2_sft"]
    assert "4_prefer" not in killed(lambda run: run.wait_for_step(tmp_path / "4_prefer", last))
    (cache,) = (tmp_path / "reference_cache").iterdir()
    cache.write_bytes(cache.read_bytes()[:-20])

    done = finished_run(tmp_path, *options(demo_data, tmp_path, "resume=auto"))

    assert "damaged lines there: 1, made anew as needed" in done.output
    for stage in ("1_lessons", "3_pairs"):
        for file in FILES[stage]:
            assert (tmp_path / stage / file).read_bytes() == (straight / stage / file).read_bytes(), f"{stage}/{file}"
    for stage in ("2_sft", "4_prefer"):
        assert measured(tmp_path / stage) == measured(straight / stage)
        same_weights(tmp_path / stage / "model", straight / stage / "model")
    print(f"figure: killed at {points}, its cache torn: every file, row and tensor identical, bit for bit")

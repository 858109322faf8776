"""Preference training as a user types it; killed and resumed, it equals a run without a break."""

import shutil
from pathlib import Path

import pytest

from builders.small_runs import Run, assay, finished_run, kill_all, measured, same_weights, start
from builders.verdict_pairs import write_verdict_pairs

pytestmark = pytest.mark.slow
SMALL = (
    "experiment=demo",
    "num_epochs=3",
    "data.num_heldout=8",
    "algo.num_prompts=4",
    "algo.lr=1e-4",
    "checkpoint.every=2",
    "checkpoint.keep_last=9",
    "cluster.num_learners=1",
    "cluster.cpus_per_actor=0.25",
    "cluster.cpus_per_reward_worker=0.25",
    "cluster.reference=cached",
    "logging.wandb=disabled",
)
NUM_LESSONS = 10
NUM_STEPS = 8
"""Steps of three epochs of ten samples, four a step."""


@pytest.fixture(scope="module")
def pairs(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_verdict_pairs(demo_data, tmp_path_factory.mktemp("pairs") / "pairs.jsonl", NUM_LESSONS)


def options(data: Path, pairs: Path, folder: Path) -> list[str]:
    return [
        *SMALL,
        "algo.objective=dpo",
        f"data.root={data}",
        f"data.lessons={pairs}",
        f"cluster.reference_cache={folder}/cache",
        f"output={folder}/run",
    ]


@pytest.fixture(scope="module")
def straight(demo_data: Path, pairs: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train without a break; the reference computes log-probs of every lesson."""
    folder = tmp_path_factory.mktemp("straight")
    return finished_run(folder / "run", *options(demo_data, pairs, folder))


def test_pairs_are_learnt_in_whole_epochs_and_their_margin_grows(straight: Run):
    assert f"reference log-probs of 0 of {NUM_LESSONS} lessons are in" in straight.output
    assert len(straight.steps) == NUM_STEPS
    margins = [row["preference/margin/mean"] for row in straight.steps]
    assert margins[0] == pytest.approx(0, abs=1e-5)
    assert margins[-1] > 0.05
    assert {"accuracy", "samples"} <= straight.summary["heldout_after"].keys()
    page = (straight.folder / "report.html").read_text()
    assert "Preference margin" in page and "DPO, sigmoid of the response" in page


@pytest.mark.rare
def test_a_whole_cache_spares_the_reference_and_a_kill_changes_no_bit(
    straight: Run, demo_data: Path, pairs: Path, tmp_path: Path
):
    shutil.copytree(straight.folder.parent / "cache", tmp_path / "cache")
    with start("train", *options(demo_data, pairs, tmp_path)) as run:
        run.wait_for_step(tmp_path / "run", 3)
        kill_all(run)
    output = run.process.communicate()[0]
    assert f"reference log-probs of {NUM_LESSONS} of {NUM_LESSONS} lessons are in" in output
    assert "1 reference" not in output
    (cache,) = (tmp_path / "cache").iterdir()
    cache.write_bytes(cache.read_bytes()[:-20])

    done = finished_run(tmp_path / "run", *options(demo_data, pairs, tmp_path), "resume=auto")

    assert "damaged lines there: 1, made anew as needed" in done.output
    assert measured(done.folder) == measured(straight.folder)
    num_tensors = same_weights(*(run.folder / f"checkpoints/step_{NUM_STEPS}/hf" for run in (done, straight)))
    print(f"figure: {len(done.rows)} rows and {num_tensors} tensors identical, bit for bit")


def test_lessons_of_held_out_samples_are_refused_in_one_sentence(demo_data, pairs, tmp_path):
    done = assay("train", *options(demo_data, pairs, tmp_path), "seed=1")
    assert done.returncode == 2
    assert "is held out for evaluation; make lessons of training samples" in done.stderr
    assert "Traceback" not in done.stderr

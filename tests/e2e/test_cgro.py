"""A run that rewards where the policy looks, from the command to the report."""

import json
from pathlib import Path

import pytest
from small_runs import FEW, SMALL, Run, assay

pytestmark = pytest.mark.slow
OPTIONS = (
    "experiment=cgro_mini",
    "eval_every=2",
    "model.lora.rank=4",
    "model.freeze_vision=true",
    "model.freeze_projector=true",
    "cluster.reference=adapter_off",
)


@pytest.fixture(scope="module")
def run(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("cgro") / "run"
    small = [option for option in (*SMALL, *FEW) if not option.startswith(("experiment=", "algo.kl_weight=0"))]
    done = assay("train", *OPTIONS, *small, "algo.kl_weight=0.04", f"data.root={demo_data}", f"output={folder}")
    assert done.returncode == 0, done.stdout + done.stderr
    return Run(folder=folder, summary=json.loads(done.stdout.splitlines()[-1]), output=done.stdout)


def rows(run: Run) -> list[dict]:
    return [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]


def test_every_step_says_how_far_looks_agree_and_what_that_earned(run):
    steps = [row for row in rows(run) if "reward/mean" in row]
    assert len(steps) == 3
    for row in steps:
        assert 0 <= row["reward/consistency/mean"] <= 1 and 0 < row["attention/selected/mean"] <= 1
        assert row["time/look"] > 0 and row["parity/logprob_abs_mean"] < 1e-4
        assert row["attention/entropy/mean"] >= 0


def test_held_out_maps_are_measured_against_the_masks(run):
    evaluations = [row for row in rows(run) if "eval/heldout/accuracy" in row]
    assert [row["step"] for row in evaluations] == [0, 2, 3]
    for row in evaluations:
        for name in ("pixel_auroc", "pixel_aupr", "pixel_aupro", "pixel_f1_max", "pixel_accuracy"):
            assert 0 <= row[f"eval/heldout/{name}"] <= 1
    assert run.summary["heldout_after"]["pixel_auroc"] == pytest.approx(
        evaluations[-1]["eval/heldout/pixel_auroc"], rel=1e-5
    )


def test_the_report_shows_the_same_samples_at_every_evaluation(run):
    page = (run.folder / "report.html").read_text()
    assert "Where it looks" in page and "Before training" in page and "After 3 steps" in page
    assert sorted(path.name for path in (run.folder / "samples").glob("maps_*")) == [
        "maps_step_0.npz",
        "maps_step_2.npz",
        "maps_step_3.npz",
    ]

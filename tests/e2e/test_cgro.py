"""A run with the consistency reward of CGRO, from the command to the report."""

from pathlib import Path

import pytest

from builders.small_runs import FEW, THREE_STEPS, Run, finished_run

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
    small = [option for option in (*THREE_STEPS, *FEW) if not option.startswith(("experiment=", "algo.kl_weight="))]
    folder = tmp_path_factory.mktemp("cgro") / "run"
    return finished_run(folder, *OPTIONS, *small, "algo.kl_weight=0.04", f"data.root={demo_data}", f"output={folder}")


def test_every_step_has_the_metrics_of_looks_and_their_reward(run):
    assert len(run.steps) == 3
    for row in run.steps:
        assert 0 <= row["reward/consistency/mean"] <= 1 and 0 < row["attention/selected/mean"] <= 1
        assert row["time/look"] > 0 and row["parity/logprob_abs_mean"] < 1e-4
        assert row["attention/entropy/mean"] >= 0


def test_held_out_maps_are_measured_against_the_masks(run):
    evaluations = [row for row in run.rows if "eval/heldout/accuracy" in row]
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

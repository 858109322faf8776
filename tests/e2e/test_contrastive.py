"""Contrastive and dynamic sampling in real runs: the share of groups without contrast."""

import json
from pathlib import Path
from statistics import fmean

import pytest

from builders.small_runs import FEW, THREE_STEPS, assay, finished_run
from builders.vllm_server import LOCAL

pytestmark = pytest.mark.slow
CONTRASTIVE = ("algo.contrastive=true", "logging.wandb=disabled", "algo.num_prompts=8")
"""Options of all runs here; the demo has a reference text for every sample."""
TRUNCATED = ("rollout.top_p=0.9", "rollout.top_k=20", "rollout.min_p=0.05")
NOWHERE = f"http://{LOCAL}:9/v1"
Rows = list[dict[str, float]]


def trained(data: Path, output: Path, *options: str) -> Rows:
    """Train with contrastive sampling; return the rows of the training steps."""
    arguments = [*THREE_STEPS, *FEW, *CONTRASTIVE, f"data.root={data}", f"output={output}", *options]
    run = finished_run(output, *arguments)
    assert all("contrastive/left" in row for row in run.steps)
    return run.steps


@pytest.fixture(scope="module")
def borrowed(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Rows:
    options = ("rollout.teacher.kind=borrowed", *TRUNCATED)
    return trained(demo_data, tmp_path_factory.mktemp("borrowed"), *options)


def test_with_reference_texts_no_group_is_left_without_contrast(borrowed: Rows):
    sampled = fmean(row["reward/zero_std_groups"] for row in borrowed)
    assert len(borrowed) == 3 and sampled > 0.3
    for row in borrowed:
        repaired = row["contrastive/repaired_all_wrong"] + row["contrastive/repaired_all_right"]
        assert row["contrastive/left"] == 0
        assert repaired == pytest.approx(row["reward/zero_std_groups"])
    print(f"figure: groups without contrast {sampled:.2f} as sampled, 0.00 as learnt from")


def test_the_policys_metrics_leave_out_what_others_wrote_and_follow_truncated_sampling(borrowed: Rows):
    gaps = [row["parity/logprob_abs_max"] for row in borrowed]
    # It is exactly 0 in a step whose tokens were each the only one left to choose.
    assert 0 < max(gaps) < 1e-4
    assert all(row["staleness/max"] == 0 and row["response/length/clipped"] < 0.5 for row in borrowed)


def test_own_workers_write_negatives_and_refills_replace_groups(demo_data: Path, tmp_path: Path):
    options = ("rollout.teacher.kind=policy", "algo.num_prompts=4", "algo.max_refills=3")
    found = trained(demo_data, tmp_path, *options)
    assert sum(row["contrastive/repaired_all_right"] for row in found) > 0
    assert any(row["contrastive/left_out"] > 0 for row in found)
    for row in found:
        assert row["contrastive/left_out"] <= row["contrastive/left"] <= row["reward/zero_std_groups"]
    record = json.loads((tmp_path / "checkpoints/step_3/run.json").read_text())
    assert record["progress"]["position"] > 3 * 4


@pytest.mark.rare
def test_refills_alone_replace_groups_without_contrast(demo_data: Path, tmp_path: Path):
    found = trained(demo_data, tmp_path, "algo.contrastive=false", "algo.max_refills=3", "algo.num_prompts=4")
    assert any(row["contrastive/left_out"] > 0 for row in found)
    assert all(row["contrastive/left_out"] <= row["contrastive/left"] for row in found)


@pytest.mark.rare
def test_a_teacher_that_is_not_there_is_named_before_any_actor_starts(demo_data: Path, tmp_path: Path):
    teacher = ["rollout.teacher.kind=endpoint", f"rollout.teacher.url={NOWHERE}", "rollout.teacher.model=large"]
    options = [f"data.root={demo_data}", f"output={tmp_path}", *teacher]
    done = assay("train", *THREE_STEPS, *FEW, *CONTRASTIVE, *options)
    assert done.returncode == 1
    assert f"the teacher at rollout.teacher.url={NOWHERE} is out of reach" in done.stderr
    assert not (tmp_path / "actors.json").exists()

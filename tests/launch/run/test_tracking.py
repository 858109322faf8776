import json
import math
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from PIL import Image

from builders.groups_with_looks import look, looked
from builders.scored_groups import NO, YES, completion, group, score
from builders.wandb_records import whole_records
from launch.run.ending import End, Ending
from launch.run.rows import read_rows
from launch.run.tracking import Evaluation, Plan, Resumed, RunTracker
from launch.run.wandb_run import without_secrets
from rl.evaluation.config import LoggingConfig, WandbMode
from rl.evaluation.kept_maps import maps_file, read_maps
from rl.timing import Timings
from rl.types import Group

BOX = ((2.0, 2.0, 6.0, 6.0),)
SECRET = {"teacher": {"api_key": "sesame-0815"}}
NOBODY = "127.0.0.1:9"
KEY_OF_CAPTIONS = ["eval/heldout/maps", "captions"]
JPEG = b"\xff\xd8\xff"


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))


@pytest.fixture
def groups(tmp_path: Path) -> list[Group]:
    picture = tmp_path / "part.png"
    Image.new("RGB", (40, 40)).save(picture)
    return [
        group(
            [score(box=0.5), score(0, 0, 0)], [completion(YES), completion("?")], boxes=BOX, images=(picture, picture)
        ),
        group([score(), score()], [completion(NO)] * 2, images=(picture, picture)),
    ]


@pytest.fixture
def looking(groups: list[Group], tmp_path: Path) -> list[Group]:
    """A defective and a normal sample, each greedily answered, with the mask of the first."""
    mask = tmp_path / "mask.png"
    Image.fromarray(np.array([[255, 0], [0, 0]], np.uint8)).save(mask)
    with_defect, without = (replace(each, completions=each.completions[:1], scores=each.scores[:1]) for each in groups)
    return [
        looked(with_defect, look(0.75, (0.5, 0.5), rdam=[[3.0, 1.0], [0.0, 0.0]]), mask=mask),
        looked(_renamed(without, "steel/test/001"), look(0.25, (1.0,), rdam=[[2.0, 2.0]])),
    ]


def _renamed(group: Group, sample_id: str) -> Group:
    return replace(group, prompt=replace(group.prompt, sample=replace(group.prompt.sample, id=sample_id)))


def tracker(
    folder: Path,
    mode: WandbMode = WandbMode.disabled,
    num_steps: int = 3,
    samples_every: int = 2,
    resumed: Resumed | None = None,
) -> RunTracker:
    config = LoggingConfig(wandb=mode, samples_every=samples_every)
    plan = Plan(num_steps=num_steps, config=without_secrets(SECRET), ranges={"box": (0.0, 1.0)})
    return RunTracker(folder, config, plan, Timings(), resumed)


def rows(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_step_and_evaluation_is_a_row_on_disk_at_once(tmp_path: Path, groups: list[Group]) -> None:
    run = tracker(tmp_path / "run")
    run.log_evaluation(0, [group([score()])])
    run.log(1, groups, {"actor/loss": 0.5})
    first, second = rows(tmp_path / "run")
    assert (first["step"], first["eval/heldout/accuracy"]) == (0, 1)
    assert (second["step"], second["actor/loss"], second["reward/mean"]) == (1, 0.5, (2.5 + 0 + 3 + 3) / 4)
    assert (second["staleness/mean"], run.last_step) == (0, 1)
    assert run.rows[1]["reward/mean"] == second["reward/mean"]
    assert [evaluation.step for evaluation in run.evaluations] == [0]


def test_a_notice_is_said_once_its_step_is_done(tmp_path: Path, groups: list[Group], capsys) -> None:
    plan = Plan(num_steps=3, config={}, ranges={}, notices={2: "the profile is written"})
    run = RunTracker(tmp_path, LoggingConfig(wandb=WandbMode.disabled, samples_every=0), plan, Timings())
    run.log(1, groups, {})
    assert "the profile is written" not in capsys.readouterr().out
    run.log(2, groups, {})
    assert capsys.readouterr().out.endswith("the profile is written\n")


def test_a_value_that_is_no_number_is_null_on_disk(tmp_path: Path, groups: list[Group]) -> None:
    tracker(tmp_path).log(1, groups, {"actor/kl": float("nan")})
    assert rows(tmp_path)[0]["actor/kl"] is None
    assert math.isnan(read_rows(tmp_path).rows[0]["actor/kl"])


def test_the_length_of_the_metrics_is_known_as_of_the_last_training_step(tmp_path: Path, groups: list[Group]) -> None:
    run = tracker(tmp_path)
    assert run.synced_metrics().num_bytes == 0
    run.log(1, groups, {})
    run.log_evaluation(1, [group([score()])])
    first, _ = (tmp_path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    assert run.synced_metrics().num_bytes == len(first)


def test_a_run_that_goes_on_adds_to_what_it_had_recorded(tmp_path: Path, groups: list[Group]) -> None:
    before = tracker(tmp_path)
    before.log_evaluation(0, [group([score()])])
    before.log(1, groups, {"actor/kl": float("nan")})
    recorded = before.synced_metrics().num_bytes
    before.finish({}, End(ending=Ending.stopped))
    resumed = Resumed(wandb_id="", evaluations=tuple(before.evaluations))
    again = tracker(tmp_path, resumed=resumed)
    assert (again.last_step, again.synced_metrics().num_bytes) == (1, recorded)
    again.log(2, groups, {})
    again.log_evaluation(2, [group([score(accuracy=0)])])
    assert [row["step"] for row in rows(tmp_path)] == [row["step"] for row in again.rows] == [0, 1, 2, 2]
    seconds = [row["time_s"] for row in again.rows]
    assert seconds == sorted(seconds)
    assert [evaluation.step for evaluation in again.evaluations] == [0, 2]


def test_the_first_and_the_last_evaluation_are_at_hand(tmp_path: Path) -> None:
    run = tracker(tmp_path)
    for step in range(3):
        run.log_evaluation(step, [group([score()])])
    assert [evaluation.step for evaluation in run.evaluations] == [0, 2]
    assert isinstance(run.evaluations[0], Evaluation)
    assert sorted(path.name for path in (tmp_path / "samples").iterdir()) == [
        f"heldout_step_{step}.jsonl" for step in range(3)
    ]


def test_an_evaluation_tells_and_keeps_where_the_answers_look(
    tmp_path: Path, looking: list[Group], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tracker(tmp_path / "run")
    run.log_evaluation(20, looking)
    (row,) = rows(tmp_path / "run")
    assert (row["eval/heldout/agreement_defective"], row["eval/heldout/agreement_normal"]) == (0.75, 0.25)
    # One defective pixel at 3 against a hundred of the normal sample at 2 and three below.
    assert row["eval/heldout/pixel_auroc"] == row["eval/heldout/pixel_auroc_all_tokens"] == 1
    assert "held-out after 20 steps: accuracy 1.000 · mean_iou 0.500 · pixel_auroc 1.000" in capsys.readouterr().out
    kept = read_maps(maps_file(tmp_path / "run", 20))
    assert [each.agreement for each in kept.values()] == [0.75, 0.25]
    assert [each.looks[0].maps for each in run.evaluations[0].groups] == [None, None]


def test_an_evaluation_without_looks_keeps_no_maps(tmp_path: Path) -> None:
    tracker(tmp_path).log_evaluation(0, [group([score()])])
    assert [path.name for path in (tmp_path / "samples").iterdir()] == ["heldout_step_0.jsonl"]
    assert not [name for name in rows(tmp_path)[0] if "pixel" in name or "agreement" in name]


def test_maps_are_pictures_in_wandb_with_id_and_agreement(tmp_path: Path, looking: list[Group]) -> None:
    run = tracker(tmp_path / "run", WandbMode.offline)
    run.log_evaluation(0, looking)
    run.finish({}, End(ending=Ending.done))
    stored = (tmp_path / "run" / "wandb").glob("offline-run-*/files/media/images/eval/heldout/maps_0_*.jpg")
    spread = sorted(float(np.asarray(Image.open(path)).std(axis=(0, 1)).max()) for path in stored)
    assert len(spread) == 2 and spread[0] < 1 < 20 < spread[1]  # even all over, and with a peak and an outline
    items = [item for record in whole_records(tmp_path / "run") for item in record.history.item]
    (captions,) = [json.loads(item.value_json) for item in items if list(item.nested_key) == KEY_OF_CAPTIONS]
    assert captions == ["steel/test/000 · J 0.75", "steel/test/001 · J 0.25"]


def test_without_sample_pictures_there_are_no_maps_in_wandb_but_in_the_run_folder(
    tmp_path: Path, looking: list[Group]
) -> None:
    run = tracker(tmp_path / "run", WandbMode.offline, samples_every=0)
    run.log_evaluation(0, looking)
    run.finish({}, End(ending=Ending.done))
    assert not list((tmp_path / "run" / "wandb").rglob("*.jpg"))
    assert maps_file(tmp_path / "run", 0).exists()


def test_ten_steps_without_any_contrast_are_said(
    tmp_path: Path, groups: list[Group], capsys: pytest.CaptureFixture[str]
) -> None:
    run = tracker(tmp_path, num_steps=20)
    for step in range(1, 10):
        run.log(step, [group([score(), score()])], {})
    assert "learns nothing" not in capsys.readouterr().out
    run.log(10, [group([score(), score()])], {})
    assert "warning: no group had two different rewards in steps 1 to 10" in capsys.readouterr().out
    for step in range(11, 21):
        run.log(step, groups, {})
    assert "learns nothing" not in capsys.readouterr().out


def test_warnings_from_before_the_run_are_said_at_once_and_counted(
    tmp_path: Path, groups: list[Group], capsys: pytest.CaptureFixture[str]
) -> None:
    plan = Plan(num_steps=3, config={}, ranges={}, warnings=("all 8 samples are normal",))
    run = RunTracker(tmp_path, LoggingConfig(wandb=WandbMode.offline), plan, Timings())
    assert capsys.readouterr().out.count("warning: all 8 samples are normal") == 1
    run.log(1, groups, {})
    run.finish({"warnings": run.warnings}, End(ending=Ending.done))
    assert rows(tmp_path)[0]["warnings"] == 1 and run.warnings == ["all 8 samples are normal"]
    assert "warning" not in capsys.readouterr().out
    assert [record.alert.text for record in whole_records(tmp_path) if record.alert.text] == run.warnings


def test_a_warning_is_said_once_counted_in_the_rows_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tracker(tmp_path, num_steps=40)
    flat = [group([score(box=0.5), score(box=0.5)]), group([score(0, box=0.5), score(1, box=0.5)])]
    for step in range(1, 31):
        run.log(step, flat, {})
    (sentence,) = run.warnings
    assert sentence.startswith("reward box was 0.5 for every completion in steps 1 to 20")
    assert capsys.readouterr().out.count(f"warning: {sentence}") == 1
    assert [row["warnings"] for row in rows(tmp_path)] == [0] * 19 + [1] * 11


def test_a_fall_on_held_out_samples_is_warned_of_with_its_evaluation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tracker(tmp_path, num_steps=8)
    run.log_evaluation(0, [group([score()])] * 40)
    for step in range(1, 9):
        run.log(step, [group([score(0, 0, 0), score(1, 1, step / 8)])], {})
    run.log_evaluation(8, [group([score(accuracy=0)])] * 40)
    (sentence,) = run.warnings
    assert "held-out accuracy fell from 1.000 after 0 steps to 0.000 after 8, while reward rose" in sentence
    assert rows(tmp_path)[-1]["warnings"] == 1 and rows(tmp_path)[-2]["warnings"] == 0


def test_a_run_that_goes_on_knows_what_it_was_warned_of_and_does_not_say_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = [group([score(box=0.5), score(box=0.5)])]
    before = tracker(tmp_path, num_steps=40)
    for step in range(1, 16):
        before.log(step, quiet, {})
    before.finish({}, End(ending=Ending.stopped))
    told = capsys.readouterr().out
    again = tracker(tmp_path, num_steps=40, resumed=Resumed(wandb_id="", evaluations=()))
    assert again.warnings == before.warnings and len(again.warnings) == 1 and again.warnings[0] in told
    for step in range(16, 31):
        again.log(step, quiet, {})
    assert before.warnings[0] not in capsys.readouterr().out
    assert [warning.split()[1] for warning in again.warnings] == ["group", "box"]


def test_warnings_are_alerts_in_wandb(tmp_path: Path) -> None:
    run = tracker(tmp_path / "run", WandbMode.offline, num_steps=40)
    for step in range(1, 21):
        run.log(step, [group([score(box=0.5), score(box=0.5)])], {})
    run.finish({"warnings": run.warnings}, End(ending=Ending.done))
    alerts = [record.alert for record in whole_records(tmp_path / "run") if record.HasField("alert")]
    assert [alert.text for alert in alerts] == run.warnings and len(alerts) == 2
    assert {(alert.title, alert.level, alert.wait_duration) for alert in alerts} == {("The run may mislead", "WARN", 1)}


def test_the_seconds_before_the_clock_is_started_count_for_no_step(tmp_path: Path, groups: list[Group]) -> None:
    run = tracker(tmp_path)
    time.sleep(0.2)
    run.begin()
    run.log(1, groups, {})
    (row,) = rows(tmp_path)
    assert row["time/step"] < 0.2 < row["time_s"] <= run.seconds


def test_an_offline_run_keeps_curves_tables_and_pictures_and_no_secret(tmp_path: Path, groups: list[Group]) -> None:
    folder = tmp_path / "run"
    run = tracker(folder, WandbMode.auto)
    run.log_evaluation(0, [group([score()])])
    for step in range(1, 4):
        run.log(step, groups, {"actor/loss": 0.5})
    run.log_evaluation(3, [group([score()])])
    run.finish({"steps": 3}, End(ending=Ending.done))
    (stored,) = (folder / "wandb").glob("offline-run-*")
    tables = sorted(path.name.split("_")[0:2] for path in stored.rglob("*.table.json"))
    assert tables == [["answers", "0"], ["answers", "3"], ["samples", "2"]]
    table = json.loads(next(stored.rglob("samples_2_*.table.json")).read_text())
    assert table["columns"] == ["id", "image", "truth", "completion", "reward", "format", "accuracy", "box"]
    assert table["data"][0][2:5] == ["defective", YES, 2.5]
    staged = [path.read_bytes() for path in (folder / "wandb" / "artifacts" / "staging").iterdir()]
    assert any(content.startswith(JPEG) for content in staged)
    assert any(b"minX" in content for content in staged)
    assert not [path for path in folder.rglob("*") if path.is_file() and b"sesame-0815" in path.read_bytes()]


@pytest.mark.parametrize(("num_answers", "names"), [(1, ["chosen"]), (2, ["chosen", "rejected"])])
def test_what_is_taught_is_a_table_of_answers_without_rewards(tmp_path, groups, num_answers, names, capsys):
    group = groups[0]
    taught = replace(group, completions=(group.completions[0],) * num_answers, scores=(), advantages=(1.0, -1.0))
    run = tracker(tmp_path / "run", WandbMode.offline, samples_every=1)
    run.log(1, [taught], {"actor/loss": 0.5})
    run.finish({}, End(ending=Ending.done))
    assert "W&B failed" not in capsys.readouterr().out
    (stored,) = (tmp_path / "run" / "wandb").glob("offline-run-*")
    (table,) = (json.loads(path.read_text()) for path in stored.rglob("samples_1_*.table.json"))
    assert table["columns"] == ["id", "image", "truth", *names]


def test_a_run_that_goes_on_keeps_its_name_in_wandb(tmp_path: Path, groups: list[Group]) -> None:
    before = tracker(tmp_path / "run", WandbMode.offline)
    before.log(1, groups, {})
    before.finish({}, End(ending=Ending.stopped))
    resumed = Resumed(wandb_id=before.wandb_id, evaluations=())
    again = tracker(tmp_path / "run", WandbMode.offline, resumed=resumed)
    again.finish({}, End(ending=Ending.done))
    assert again.wandb_id == before.wandb_id != ""
    parts = [path.name for path in (tmp_path / "run/wandb").glob("offline-run-*")]
    assert parts and all(before.wandb_id in name for name in parts)


def test_a_run_whose_wandb_is_off_now_keeps_the_name_for_later(tmp_path: Path, groups: list[Group]) -> None:
    tracker(tmp_path).log(1, groups, {})
    assert tracker(tmp_path, resumed=Resumed(wandb_id="w1", evaluations=())).wandb_id == "w1"


def test_a_failing_wandb_is_said_once_and_the_run_goes_on(
    tmp_path: Path, groups: list[Group], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "wandb").write_text("a file where W&B wants its folder")
    run = tracker(tmp_path, WandbMode.offline)
    for step in range(1, 4):
        run.log(step, groups, {})
    run.finish({}, End(ending=Ending.done))
    assert len(rows(tmp_path)) == 3 and run.wandb_id == ""
    assert capsys.readouterr().out.count("W&B failed") == 1


@pytest.mark.slow
def test_a_wandb_out_of_reach_is_said_and_recorded_offline(
    tmp_path: Path, groups: list[Group], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", f"http://{NOBODY}")
    tracker(tmp_path / "run").log(1, groups, {})
    run = tracker(tmp_path / "run", WandbMode.auto, resumed=Resumed(wandb_id="w1", evaluations=()))
    run.log(2, groups, {})
    run.finish({}, End(ending=Ending.done))
    out = capsys.readouterr().out
    assert "W&B is out of reach" in out and "W&B failed" not in out
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*-w1"))


def test_recording_a_step_costs_milliseconds(tmp_path: Path, groups: list[Group]) -> None:
    run = tracker(tmp_path, WandbMode.offline, samples_every=0, num_steps=100)
    seconds = []
    for step in range(1, 31):
        start = time.perf_counter()
        run.log(step, groups * 16, {f"actor/{index}": 0.5 for index in range(20)})
        seconds.append(time.perf_counter() - start)
    run.finish({}, End(ending=Ending.failed))
    assert median(seconds) < 0.02


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path: Path, groups: list[Group]) -> None:
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    full = tracker(tmp_path)
    for act in (lambda: full.log(1, groups, {}), lambda: full.log_evaluation(1, groups[:0])):
        with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/metrics.jsonl'"):
            act()
    with pytest.raises(OSError, match=rf"No space left on device: '{tmp_path}/metrics.jsonl'"):
        full.finish({}, End(ending=Ending.failed))

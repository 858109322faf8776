"""What a run records in W&B and TensorBoard, as their own programs read it."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from builders.scored_groups import NO, YES, completion, group, score
from builders.wandb_server import KEY, WandbServer, sync, wandb_server
from launch.run.ending import End, Ending
from launch.run.tracking import Plan, Resumed, RunTracker
from rl.evaluation.config import Backend, LoggingConfig, WandbMode
from rl.timing import Timings
from rl.types import Group

REPORT = "<!doctype html><p>All is well.</p>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WandbServer]:
    with wandb_server() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        monkeypatch.delenv("WANDB_MODE", raising=False)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("WANDB_DIR", str(tmp_path))
        # The process that W&B keeps between runs knows another server.
        wandb.teardown()
        yield server
        wandb.teardown()


@pytest.fixture
def groups(tmp_path: Path) -> list[Group]:
    picture = tmp_path / "part.png"
    Image.new("RGB", (40, 40)).save(picture)
    quiet = [score(box=0.5), score(0, box=0.5)]
    return [group(quiet, [completion(YES), completion(NO)], boxes=((2.0, 2.0, 6.0, 6.0),), images=(picture, picture))]


def tracker(folder: Path, mode: WandbMode, resumed: Resumed | None = None, **options: Any) -> RunTracker:
    plan = Plan(
        num_steps=25,
        title="demo algo.lr=1e-5",
        tags=("grpo", "dapo", "yes_no_boxes", "starter"),
        config={"algo": {"lr": 1e-5}, "teacher": {"api_key": "sesame"}},
        ranges={"box": (0.0, 1.0)},
    )
    return RunTracker(folder, LoggingConfig(wandb=mode, group="papers", **options), plan, Timings(), resumed)


def rows(folder: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl without the digests, which are recorded nowhere else."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{name: value for name, value in json.loads(line).items() if name != "chain"} for line in lines]


def by_step(rows: list[dict[str, Any]], step: str) -> dict[int, dict[str, Any]]:
    """Merge the rows of a step, of which the last value of a name counts."""
    merged: dict[int, dict[str, Any]] = {}
    for row in rows:
        merged.setdefault(row[step], {}).update(row)
    return merged


def record(run: RunTracker, folder: Path, groups: list[Group], steps: range) -> None:
    greedy = [replace(each, completions=each.completions[:1], scores=each.scores[:1]) for each in groups]
    run.log_evaluation(steps.start, greedy)
    for step in steps[1:]:
        run.log(step, groups, {"actor/loss": 0.5, "actor/kl": math.nan if step == 2 else 0.1})
    run.log_evaluation(steps[-1], greedy)
    (folder / "report.html").write_text(REPORT)


def check_same(recorded: dict[int, dict[str, Any]], kept: dict[int, dict[str, Any]]) -> None:
    """Compare W&B's rows with those of metrics.jsonl, by step."""
    assert recorded.keys() == kept.keys()
    for step, row in kept.items():
        told = {name: math.nan if row[name] is None else row[name] for name in row.keys() - {"step", "time_s"}}
        found = {name: float(recorded[step][name]) for name in told}
        assert found == pytest.approx(told, nan_ok=True)


@pytest.mark.slow
def test_an_offline_run_uploads_every_metric_at_its_step_and_how_it_is_listed(server, tmp_path, groups):
    folder = tmp_path / "run"
    run = tracker(folder, WandbMode.offline)
    record(run, folder, groups, range(0, 23))
    run.finish({"reward_last": 1.5, "heldout_after": {"accuracy": 0.5}}, End(ending=Ending.done))
    sync(folder, server)
    ((run_id, uploaded),) = server.runs.items()
    assert (run_id, uploaded.name, uploaded.group) == (run.wandb_id, "demo algo.lr=1e-5", "papers")
    assert uploaded.tags == ["grpo", "dapo", "yes_no_boxes", "starter"]
    assert uploaded.config["algo"]["value"] == {"lr": 1e-5}
    assert uploaded.config["teacher"]["value"] == {"api_key": "***"}
    recorded = by_step(uploaded.rows(), "_step")
    check_same(recorded, by_step(rows(folder), "step"))
    assert recorded[0]["eval/heldout/samples"] == 1
    tables = {(step, name) for step, row in recorded.items() for name in row if is_table(row[name])}
    assert tables == {(0, "eval/heldout/answers"), (10, "samples"), (20, "samples"), (22, "eval/heldout/answers")}
    assert uploaded.summary["reward_last"] == 1.5 and uploaded.summary["heldout_after"] == {"accuracy": 0.5}
    assert uploaded.exit_codes == [0]
    report = recorded[22]["report"]
    assert report["_type"] == "html-file" and server.files[report["path"]].decode() == REPORT
    assert [alert["text"] for alert in server.alerts] == run.warnings != []
    assert {(alert["title"], alert["severity"]) for alert in server.alerts} == {("The run may mislead", "WARN")}


def is_table(value: Any) -> bool:
    return isinstance(value, dict) and value.get("_type") == "table-file"


@pytest.mark.parametrize("is_lost", [True, False])
def test_a_run_whose_folder_is_lost_uploads_no_page_of_the_one_at_its_place(server, tmp_path, groups, is_lost):
    run = tracker(tmp_path / "run", WandbMode.online, samples_every=0)
    record(run, tmp_path / "run", groups, range(0, 2))
    run.finish({}, End(ending=Ending.failed, is_lost=is_lost))
    (uploaded,) = server.runs.values()
    assert any("report" in row for row in uploaded.rows()) is not is_lost
    assert uploaded.exit_codes == [1]


def test_a_resumed_run_goes_on_in_the_same_run_of_the_server(server, tmp_path, groups):
    folder = tmp_path / "run"
    before = tracker(folder, WandbMode.online, samples_every=0)
    record(before, folder, groups, range(0, 4))
    before.finish({}, End(ending=Ending.stopped))
    again = tracker(folder, WandbMode.online, Resumed(wandb_id=before.wandb_id, evaluations=()), samples_every=0)
    for step in (4, 5):
        again.log(step, groups, {"actor/loss": 0.25})
    again.finish({"reward_last": 1.5}, End(ending=Ending.done))
    ((run_id, uploaded),) = server.runs.items()
    assert run_id == before.wandb_id == again.wandb_id
    recorded = by_step(uploaded.rows(), "_step")
    check_same(recorded, by_step(rows(folder), "step"))
    assert list(recorded) == [0, 1, 2, 3, 4, 5] and recorded[5]["actor/loss"] == 0.25
    assert uploaded.exit_codes == [Ending.stopped.value, 0] and uploaded.was_preempting
    assert uploaded.summary["reward_last"] == 1.5


def events(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return what TensorBoard shows: step and value by name."""
    accumulator = EventAccumulator(str(folder / "tensorboard"), size_guidance={"scalars": 0})
    accumulator.Reload()
    return {
        name: [(event.step, event.value) for event in accumulator.Scalars(name)]
        for name in accumulator.Tags()["scalars"]
    }


def kept(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return the scalars of metrics.jsonl in the form of `events`."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows(folder):
        for name in row.keys() - {"step", "time_s"}:
            found.setdefault(name, []).append((row["step"], math.nan if row[name] is None else row[name]))
    return found


def test_tensorboard_shows_the_same_scalars_under_the_same_names_and_steps(tmp_path, groups):
    run = tracker(tmp_path, WandbMode.disabled, backends=[Backend.wandb, Backend.tensorboard])
    record(run, tmp_path, groups, range(0, 4))
    run.finish({}, End(ending=Ending.done))
    shown, expected = events(tmp_path), kept(tmp_path)
    assert shown.keys() == expected.keys() and "eval/heldout/samples" in shown
    for name, points in expected.items():
        assert [step for step, _ in shown[name]] == [step for step, _ in points]
        values = [value for _, value in points]
        assert [value for _, value in shown[name]] == pytest.approx(values, rel=1e-6, nan_ok=True)


def test_a_run_that_goes_on_shows_each_step_once_in_tensorboard(tmp_path, groups):
    before = tracker(tmp_path, WandbMode.disabled, backends=[Backend.tensorboard])
    record(before, tmp_path, groups, range(0, 4))
    before.finish({}, End(ending=Ending.stopped))
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "metrics.jsonl").write_text("".join(lines[:3]))  # the evaluation and two steps
    resumed = Resumed(wandb_id="", evaluations=())
    again = tracker(tmp_path, WandbMode.disabled, resumed, backends=[Backend.tensorboard])
    again.log(3, groups, {"actor/loss": 0.25})
    again.finish({}, End(ending=Ending.done))
    assert events(tmp_path)["actor/loss"] == [(1, 0.5), (2, 0.5), (3, 0.25)]


def test_a_run_without_backends_records_in_its_folder_alone(tmp_path, groups):
    run = tracker(tmp_path / "run", WandbMode.offline, backends=[])
    record(run, tmp_path / "run", groups, range(0, 3))
    run.finish({}, End(ending=Ending.done))
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["metrics.jsonl", "report.html", "samples"]

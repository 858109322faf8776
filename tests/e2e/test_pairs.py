"""`assay pairs` as a user types it: stopped or killed and resumed, it writes the bytes of a run without a break."""

import json
import signal
from pathlib import Path

import pytest

from builders.browser import browser, opened
from builders.small_runs import assay, start

pytestmark = pytest.mark.slow

SMALL = (
    "rollout.max_prompt_tokens=600",
    "rollout.max_response_tokens=128",
    "data.knowledge.num_wrong=1",
    "pairs.batch=8",
    "cluster.cpus_per_actor=0.25",
)
DOUBTS = ("pairs.margin=0.6", "pairs.num_answers=4")
"""Options that select samples; the starter knows no knowledge, but with one wrong piece some answers give an option."""
BY_ITSELF = ("pairs.margin=1", "pairs.teacher=policy", "pairs.attempts=2")
"""Options that let the starter write the texts; none passes the checks, so the journals are compared."""
LOCAL = "127.0.0.1"


def num_lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def arguments(data: Path, folder: Path) -> list[str]:
    return [*SMALL, *DOUBTS, f"data.root={data}", f"output={folder}"]


def interrupted(typed: list[str], file: Path, count: int, number: int) -> tuple[int, str]:
    """Run until the file has `count` lines, send the signal `number`, and return exit code and output."""
    with start("pairs", *typed) as run:
        run.wait_for_lines(file, count)
        run.signal_group(number)
        said = run.process.communicate(timeout=120)[0]
    return run.process.returncode, said


@pytest.fixture(scope="module")
def whole(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs") / "whole"
    done = assay("pairs", *arguments(demo_data, folder))
    assert done.returncode == 0, done.stdout + done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["pairs"] == num_lines(folder / "pairs.jsonl") > 0
    assert summary["kept"] < summary["samples"] == num_lines(folder / "selection.jsonl")
    return folder


@pytest.fixture(scope="module")
def stopped(whole: Path, demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """End the same run by Ctrl-C after its first lines."""
    folder = tmp_path_factory.mktemp("pairs") / "stopped"
    code, said = interrupted(arguments(demo_data, folder), folder / "selection.jsonl", 1, signal.SIGINT)
    assert code == 130, said
    assert "stopped by Ctrl-C with " in said and " samples asked about; " in said
    assert f"; output={folder} goes on" in said
    assert not (folder / "pairs.jsonl").exists() and (folder / "report.html").exists()
    return folder


def same_bytes(folder: Path, other: Path) -> bool:
    names = ("selection.jsonl", "trajectories.jsonl", "pairs.jsonl")
    return all((folder / name).read_bytes() == (other / name).read_bytes() for name in names)


@pytest.mark.rare
def test_ctrl_c_changes_no_byte(whole: Path, stopped: Path, demo_data: Path):
    done = assay("pairs", *arguments(demo_data, stopped))
    assert done.returncode == 0, done.stdout + done.stderr
    assert same_bytes(stopped, whole)


@pytest.mark.rare
def test_kill_9_changes_no_byte(whole: Path, demo_data: Path, tmp_path: Path):
    typed = arguments(demo_data, tmp_path / "run")
    code, said = interrupted(typed, tmp_path / "run/selection.jsonl", 1, signal.SIGKILL)
    assert code == -signal.SIGKILL, said
    done = assay("pairs", *typed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert same_bytes(tmp_path / "run", whole)


@pytest.mark.rare
def test_the_models_own_texts_are_the_same_after_a_kill(demo_data: Path, tmp_path: Path):
    typed = [*SMALL, *BY_ITSELF, f"data.root={demo_data}", "data.heldout_share=0.7"]
    done = assay("pairs", *typed, f"output={tmp_path}/whole")
    assert done.returncode == 1 and "got two verified texts" in done.stderr, done.stdout + done.stderr
    killed = [*typed, f"output={tmp_path}/killed"]
    interrupted(killed, tmp_path / "killed/trajectories.jsonl", 1, signal.SIGKILL)
    assert assay("pairs", *killed).returncode == 1
    whole = (tmp_path / "whole/trajectories.jsonl").read_bytes()
    assert (tmp_path / "killed/trajectories.jsonl").read_bytes() == whole and len(whole) > 1000


@pytest.mark.rare
def test_a_model_that_knows_another_form_is_refused_after_two_batches(demo_data: Path, tmp_path: Path):
    typed = [
        *SMALL,
        "pairs.num_answers=1",
        "model=starter",
        "data.task=routed",
        f"data.root={demo_data}",
        f"output={tmp_path}/run",
    ]
    done = assay("pairs", *typed)
    assert done.returncode == 1 and "to 16 samples gives an option; choose a model that knows" in done.stderr
    assert num_lines(tmp_path / "run/selection.jsonl") == 16


@pytest.mark.rare
def test_an_endpoint_that_is_gone_costs_no_selection(demo_data: Path, tmp_path: Path):
    endpoint = ("pairs.teacher=endpoint", f"rollout.teacher.url=http://{LOCAL}:9/v1", "rollout.teacher.model=large")
    done = assay("pairs", *SMALL, *DOUBTS, *endpoint, f"data.root={demo_data}", f"output={tmp_path}/run")
    assert done.returncode == 1 and " is out of reach " in done.stderr, done.stdout + done.stderr
    assert "starting" not in done.stdout and num_lines(tmp_path / "run/selection.jsonl") == 0


def test_the_page_shows_the_yield_and_the_doubts(whole: Path):
    if not browser():
        pytest.skip("no chromium or google-chrome is installed to open the page")
    summary = json.loads((whole / "summary.json").read_text())
    with opened(whole / "report.html") as tab:
        tiles = tab.evaluate("[...document.querySelectorAll('.tile b')].map(each => each.textContent)")
        assert tiles[:3] == [str(summary[name]) for name in ("samples", "kept", "pairs")]
        assert tab.evaluate("document.querySelectorAll('.bars .band').length") == 1
        assert tab.evaluate("document.querySelectorAll('.pair').length") == min(3, summary["pairs"])
        tab.call("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=2, mobile=True)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 400
        assert tab.complaints == []

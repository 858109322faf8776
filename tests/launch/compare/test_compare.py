"""`assay compare`: what it reads, the tables and curves that it writes, and the folders that it refuses."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launch.__main__ import assay
from launch.compare.page import compared_charts
from launch.compare.runs import read_runs

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_run(
    folder: str, lr: float, *, reward: float = 1.0, summary: bool = True, seed: int = 0, root: str = "photos"
) -> Path:
    """Write what a run of four steps and three evaluations leaves behind; without a summary it goes on."""
    run = Path(folder)
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(
        f"output: {folder}\nseed: {seed}\ndata: {{root: {root}}}\nalgo: {{lr: {lr}}}\nlogging: {{group: {run.name}}}\n"
        f"cluster: {{reference_cache: {folder}}}\n"
    )
    with (run / "metrics.jsonl").open("w") as file:
        for step in range(3):
            told = {"eval/heldout/accuracy": 0.5 + step / 10, "eval/heldout/samples": 8.0}
            file.write(json.dumps({"step": step, "time_s": step + 0.5} | told) + "\n")
            told = {"reward/mean": reward + step, "actor/kl": 0.1, "actor/clip_ratio": 0.0, "time/step": 1.0}
            file.write(json.dumps({"step": step + 1, "time_s": step + 1.0} | told) + "\n")
        file.write('{"step": 4, "ti')
    if summary:
        told = {"steps": 3, "reward_last": reward + 2, "heldout_after": {"accuracy": 0.7}, "warnings": []}
        (run / "summary.json").write_text(json.dumps(told))
    return run


def table(name: str) -> dict[str, list[str]]:
    with Path(name).open(newline="") as file:
        return {key: cells for key, *cells in csv.reader(file)}


def test_results_and_config_differences_stand_side_by_side_in_every_form(capsys):
    write_run("runs/a", 1e-5)
    write_run("runs/b", 1e-4, reward=1.5)
    assert assay(["compare", "runs/a", "runs/b", "output=runs/compared"]) == 0
    assert table("runs/compared/config.csv") == {
        "key": ["a lr=1e-05", "b lr=0.0001"],
        "algo.lr": ["1e-05", "0.0001"],
    }
    summary = table("runs/compared/summary.csv")
    assert summary["state"] == ["finished", "finished"]
    assert summary["reward_last"] == ["3.0", "3.5"] and summary["heldout_after.accuracy"] == ["0.7", "0.7"]
    out = capsys.readouterr().out
    assert Path("runs/compared/compare.md").read_text() in out
    assert re.search(r"\| reward_last +\| 3 +\| 3\.5 +\|", out) and re.search(r"\| algo\.lr \| 1e-05 +\|", out)
    assert out.splitlines()[-1] == "comparison: runs/compared/compare.html"
    page = Path("runs/compared/compare.html").read_text()
    assert "<small>+0.5</small>" in page and "default-src 'none'" in page


def test_curves_of_the_same_metric_lie_in_one_chart_with_a_legend():
    write_run("runs/a", 1e-5)
    write_run("runs/b", 1e-4, reward=1.5)
    charts = {chart.title: chart for chart in compared_charts(read_runs(["runs/a", "runs/b"]))}
    reward = charts["Reward"].series
    assert [line.name for line in reward] == ["a lr=1e-05", "b lr=0.0001"]
    assert [line.points for line in reward] == [((1, 1.0), (2, 2.0), (3, 3.0)), ((1, 1.5), (2, 2.5), (3, 3.5))]
    assert charts["Held-out accuracy"].series[1].points == ((0, 0.5), (1, 0.6), (2, 0.7))
    assert charts["KL to the reference"].caption == "Estimated KL from the reference policy, per token."
    assert "Clipped tokens" not in charts  # 0 all the time


def test_a_run_that_goes_on_is_compared_as_far_as_it_is():
    write_run("runs/a", 1e-5)
    going_on = write_run("runs/b", 1e-5, summary=False)
    (going_on / "summary.json").write_text('{"running": {"since": "2026-01-31", "pid": 7, "host": "node1"}}')
    assert assay(["compare", "runs/a", "runs/b", "output=here"]) == 0
    summary = table("here/summary.csv")
    assert summary["entry"] == ["a", "b"] and summary["state"] == ["finished", "unfinished"]
    assert summary["steps"] == ["3", "3"] and summary["heldout_after.accuracy"] == ["0.7", "0.7"]
    assert summary["reward_last"] == ["3.0", "3.0"]  # of three steps, the last
    assert table("here/config.csv") == {"key": ["a", "b"]}
    assert "## Config differences\n\nNone.\n" in Path("here/compare.md").read_text()


def test_unfinished_runs_are_compared_by_what_their_metrics_tell():
    write_run("runs/a", 1e-5, summary=False)
    write_run("runs/b", 1e-4, summary=False)
    assert assay(["compare", "runs/a", "runs/b", "output=here"]) == 0
    assert table("here/summary.csv")["heldout_before.accuracy"] == ["0.5", "0.5"]


def test_the_folder_of_a_sweep_stands_for_its_members_by_number(capsys):
    for number, lr in [(10, 1e-4), (2, 1e-5)]:
        write_run(f"runs/swept/{number}", lr)
        Path(f"runs/swept/{number}/overrides.json").write_text("[]")
    failed = Path("runs/swept/3")
    failed.mkdir()
    (failed / "overrides.json").write_text("[]")
    (failed / "summary.json").write_text('{"failed": "photos/1.png is corrupt; remove it"}')
    assert assay(["compare", "runs/swept", "output=here"]) == 0
    summary = table("here/summary.csv")
    assert summary["entry"] == ["swept/2 lr=1e-05", "swept/3", "swept/10 lr=0.0001"]
    assert summary["state"] == ["finished", "photos/1.png is corrupt; remove it", "finished"]


def test_a_run_links_to_its_report_from_wherever_the_page_is():
    for name in ("a", "b c"):
        (write_run(f"runs/{name}", 1e-5) / "report.html").write_text("")
    assert assay(["compare", "runs/a", "runs/b c", "output=there/compared"]) == 0
    links = re.findall(r'href="([^"]*)"', Path("there/compared/compare.html").read_text())
    assert links == ["../../runs/a/report.html", "../../runs/b%20c/report.html"]


def test_what_a_run_wrote_is_escaped_in_the_page_and_keeps_the_markdown_table_whole():
    write_run("runs/a", 1e-5)
    run = write_run("runs/b", 1e-5)
    (run / "summary.json").write_text('{"failed": "<script>|\\n"}')
    assert assay(["compare", "runs/a", "runs/b", "output=here"]) == 0
    assert "<script" not in Path("here/compare.html").read_text()
    assert "| <script>\\|" in Path("here/compare.md").read_text()


def test_runs_of_the_same_name_are_told_apart_by_the_folders_above():
    write_run("runs/demo/1", 1e-5)
    write_run("runs/mine/1", 1e-5)
    assert [run.name for run in read_runs(["runs/demo/1", "runs/mine/1"])] == ["demo/1", "mine/1"]


def keep_answers(run: Path, step: int, *ids: str) -> None:
    (run / "samples").mkdir(exist_ok=True)
    lines = [json.dumps({"id": name, "completion": "Yes", "total": 1.0}) + "\n" for name in ids]
    (run / f"samples/heldout_step_{step}.jsonl").write_text("".join(lines))


def warnings_of(*runs: str) -> list[str]:
    """Compare the runs; return the warnings of the Markdown, which are those of the page."""
    assert assay(["compare", *runs, "output=here"]) == 0
    found = re.findall(r"^Warning: (.*)\.$", Path("here/compare.md").read_text(), flags=re.MULTILINE)
    assert re.findall(r"<ul><li>(.*?)</li></ul>", Path("here/compare.html").read_text()) == found
    return found


def test_runs_that_were_asked_about_different_held_out_samples_are_compared_with_a_warning(capsys):
    keep_answers(write_run("runs/a", 1e-5, seed=1), 2, "bolt/1", "bolt/2")
    keep_answers(write_run("runs/b", 1e-5, seed=2), 2, "bolt/2", "bolt/3")
    (sentence,) = warnings_of("runs/a", "runs/b")
    assert sentence == (
        "held-out samples of b seed=2 differ from those of a seed=1 (seed differs): their held-out figures are of "
        "different images"
    )
    assert capsys.readouterr().out.startswith(f"Warning: {sentence}.\n\n## Summary\n")


def test_runs_that_were_asked_about_the_same_held_out_samples_are_compared_without_a_warning():
    for name, seed in {"a": 1, "b": 2}.items():
        run = write_run(f"runs/{name}", 1e-5, seed=seed)
        keep_answers(run, 0, f"of another start {name}")
        keep_answers(run, 2, *(["bolt/1", "bolt/2"] if name == "a" else ["bolt/2", "bolt/1"]))
        keep_answers(run, 3, f"of an evaluation under way {name}")
    assert warnings_of("runs/a", "runs/b") == []


def test_held_out_samples_that_changed_under_the_same_config_are_warned_of_too():
    for name in "abcdef":
        keep_answers(write_run(f"runs/{name}", 1e-5), 0, "bolt/1" if name == "a" else "bolt/2")
    ends = "their held-out figures are of different images"
    assert warnings_of("runs/a", "runs/b", "runs/c") == [f"held-out samples of b and c differ from those of a: {ends}"]
    every = [f"runs/{name}" for name in "abcdef"]
    assert warnings_of(*every) == [f"held-out samples of 5 other runs differ from those of a: {ends}"]


def test_without_kept_answers_or_with_other_data_the_config_says_that_held_out_samples_may_differ():
    write_run("runs/a", 1e-5, seed=1)
    write_run("runs/b", 1e-5, seed=2)
    ends = "compare held-out figures with care"
    assert warnings_of("runs/a", "runs/b") == [
        f"held-out samples may differ between the runs, because seed differs: {ends}"
    ]
    for name in "cd":
        keep_answers(write_run(f"runs/{name}", 1e-5, seed=ord(name), root=f"photos/{name}"), 0, "bolt/1")
    assert warnings_of("runs/c", "runs/d") == [
        f"held-out samples may differ between the runs, because data.root differs: {ends}"
    ]


def refused(*typed: str) -> int:
    return assay(["compare", *typed, "output=here"])


def test_folders_that_cannot_be_compared_are_refused_in_one_sentence(capsys, empty_folder):
    write_run("runs/a", 1e-5)
    Path("runs/empty").mkdir()
    write_run("runs/chain/1_sft", 1e-5)
    Path("runs/chain/chain.json").write_text("{}")
    sentences = {
        ("runs/a", "runs/b"): "runs/b: there is no such folder; name the folders of runs, e.g. runs/mine",
        ("runs/a", "runs/empty"): "runs/empty holds no run of `assay train`: it has no metrics.jsonl; name the folder",
        ("runs/a", "runs/chain"): "runs/chain holds a chain; name the folders of its stages, e.g. runs/chain/1_sft",
        ("runs/a",): "runs/a is a single run; name another one to compare it with",
        ("runs/a", "runs/../runs/a"): "runs/a is a single run; name another one to compare it with",
    }
    for typed, sentence in sentences.items():
        assert refused(*typed) == 2
        err = capsys.readouterr().err
        assert err.startswith(f"assay compare: {sentence}") and err.count("\n") == 1
    assert refused() == 2
    assert "runs is empty; name the folders of two runs or more" in capsys.readouterr().err
    assert not (empty_folder / "here").exists()


def test_the_page_is_not_written_into_a_run(capsys):
    write_run("runs/a", 1e-5)
    write_run("runs/b", 1e-5)
    assert assay(["compare", "runs/a", "runs/b", "output=runs/a"]) == 2
    assert "output=runs/a holds a run; give another folder" in capsys.readouterr().err


def test_help_says_how_runs_are_named(capsys):
    assert assay(["compare", "--help"]) == 0
    assert "usage: assay compare RUNS … [key=value …]" in capsys.readouterr().out


def test_comparing_imports_nothing_heavy():
    write_run("runs/a", 1e-5)
    write_run("runs/b", 1e-4)
    code = (
        "import sys; from launch.__main__ import assay; assay(['compare', 'runs/a', 'runs/b', 'output=here']); "
        "print(sorted({'ray', 'torch', 'vllm', 'transformers', 'scipy', 'wandb'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"

"""A chain goes on where it ended, refuses what is not its own, and says what its stages came to."""

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from conf.schema import TrainConfig
from launch.chain.run import Chain, run
from launch.chain.stages import Stage, stages_of
from launch.command.app import run_verb
from launch.command.verb import Verb
from rl.faults import RunFailure, UserError


@dataclass
class Work:
    """Stands for what a stage does: writes a summary, unless it is to end otherwise."""

    endings: dict[str, Any] = field(default_factory=dict)
    """By stage: an exception to raise or an exit code."""
    ran: list[str] = field(default_factory=list)

    def __call__(self, config: TrainConfig) -> int:
        folder = Path(config.output)
        folder.mkdir(parents=True, exist_ok=True)
        self.ran.append(folder.name)
        ending = self.endings.pop(folder.name, 0)
        if isinstance(ending, Exception):
            raise ending
        told = {"stopped": "stopped by Ctrl-C after step 3"} if ending else {"heldout_after": {"accuracy": 0.5}}
        (folder / "summary.json").write_text(json.dumps({"output": str(folder), "seconds": 2.0, **told}))
        return ending


def training(run, trains: bool) -> Verb:
    return Verb(
        name="train",
        summary="Train.",
        examples=(),
        schema=TrainConfig,
        run=run,
        trains=trains,
    )


def stages(folder: Path, work: Work, lr: float = 1e-5, names: str = "a b c") -> list[Stage]:
    config = TrainConfig(output=str(folder), stages={name: {"algo": {"lr": lr}} for name in names.split()})
    return [replace(stage, verb=training(work, trains=False)) for stage in stages_of(config)]


def chain(folder: Path, work: Work, resume: str = "auto", **changed: Any) -> Chain:
    folder.mkdir(exist_ok=True)
    return Chain(folder, stages(folder, work, **changed), resume)


def test_the_stages_run_in_order_and_the_last_line_has_all_their_summaries(tmp_path, capsys):
    work = Work()
    assert run(chain(tmp_path, work, resume="")) == 0
    assert work.ran == ["1_a", "2_b", "3_c"]
    *_, report, last = capsys.readouterr().out.splitlines()
    told = json.loads(last)
    assert report == f"report: {tmp_path / 'report.html'}" and (tmp_path / "report.html").is_file()
    assert told == json.loads((tmp_path / "summary.json").read_text())
    assert (told["output"], told["seconds"], told["heldout_after"]) == (str(tmp_path), 6.0, {"accuracy": 0.5})
    assert list(told["stages"]) == ["a", "b", "c"] and told["stages"]["b"]["output"] == str(tmp_path / "2_b")


@pytest.mark.parametrize("ending", [130, UserError("photos/1.png is corrupt; remove it"), RunFailure("learner 0 died")])
def test_a_stage_that_ends_early_ends_the_chain_which_then_goes_on_with_it(tmp_path, ending, capsys):
    work = Work(endings={"2_b": ending})
    if isinstance(ending, Exception):
        with pytest.raises(RunFailure, match=f"stage b: {ending}"):
            run(chain(tmp_path, work))
        told = {"failed": f"stage b: {ending}"}
    else:
        assert run(chain(tmp_path, work)) == 130
        told = {"stopped": "stage b: stopped by Ctrl-C after step 3"}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert told.items() <= summary.items() and list(summary["stages"]) == ["a"]
    assert next(iter(told.values())) in (tmp_path / "report.html").read_text()

    assert run(chain(tmp_path, work)) == 0
    assert work.ran == ["1_a", "2_b", "2_b", "3_c"]
    assert "stage 1 of 3, a, is done" in capsys.readouterr().out
    assert not told.keys() & json.loads((tmp_path / "summary.json").read_text()).keys()


def test_a_chain_that_is_done_says_so_and_runs_nothing(tmp_path, capsys):
    run(chain(tmp_path, Work()))
    first, again = (tmp_path / "summary.json").read_text(), Work()
    capsys.readouterr()
    assert run(chain(tmp_path, again)) == 0
    assert again.ran == [] and (tmp_path / "summary.json").read_text() == first
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == json.loads(first)


def test_what_changed_for_a_stage_that_is_done_is_said(tmp_path, capsys):
    run(chain(tmp_path, Work(endings={"2_b": 130})))
    run(chain(tmp_path, Work(), lr=2e-5))
    assert "stage a ran with algo.lr=1e-05, not 2e-05; it is not run again\nstage 2" in capsys.readouterr().out


def test_stages_can_be_added_behind_those_that_are_done(tmp_path):
    run(chain(tmp_path, Work()))
    work = Work()
    assert run(chain(tmp_path, work, names="a b c d")) == 0
    assert work.ran == ["4_d"]


def test_what_is_not_this_chain_is_refused(tmp_path):
    run(chain(tmp_path, Work()))
    with pytest.raises(ValueError, match="holds a chain; resume=auto goes on with it, or give another folder"):
        chain(tmp_path, Work(), resume="")
    with pytest.raises(ValueError, match="holds 2_b, which is not in this chain; give another folder"):
        chain(tmp_path, Work(), names="a c")
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.jsonl").write_text("{}\n")
    with pytest.raises(ValueError, match="holds a run without stages; give another folder"):
        chain(tmp_path / "run", Work())


def test_a_stage_whose_folder_was_removed_runs_anew_but_not_behind_what_came_of_it(tmp_path):
    run(chain(tmp_path, Work()))
    shutil.rmtree(tmp_path / "2_b")
    with pytest.raises(ValueError, match=r"3_c: 2_b is to run before it; remove it to run it anew"):
        chain(tmp_path, Work())
    shutil.rmtree(tmp_path / "3_c")
    work = Work()
    assert run(chain(tmp_path, work)) == 0
    assert work.ran == ["2_b", "3_c"]


def test_the_page_links_to_the_stages_reports(tmp_path):
    work = Work(endings={"2_b": 130})
    (tmp_path / "1_a").mkdir()
    (tmp_path / "1_a/report.html").write_text("")
    run(chain(tmp_path, work, resume=""))
    page = (tmp_path / "report.html").read_text()
    assert '<a href="1_a/report.html">1_a</a>' in page and "2_b/report.html" not in page
    assert "<b>0.500</b>" in page and "ended early" in page


@pytest.mark.parametrize("ending", [130, RunFailure("learner 0 died")])
def test_what_goes_wrong_with_the_record_is_told_beside_what_ended_the_chain(tmp_path, ending):
    folder = tmp_path / "chain"

    def end_with_no_room_for_the_summary(config: TrainConfig) -> int:
        code = Work(endings={"1_a": ending} if ending == 130 else {})(config)
        (folder / "summary.json").unlink()
        (folder / "summary.json").mkdir()
        if code:
            return code
        raise ending

    begun = chain(folder, Work())
    begun.stages = [
        replace(stage, verb=training(end_with_no_room_for_the_summary, trains=False)) for stage in begun.stages
    ]
    with pytest.raises(RunFailure) as raised:
        run(begun)
    first = "stopped by Ctrl-C after step 3" if ending == 130 else "learner 0 died"
    assert str(raised.value).startswith(f"stage a: {first}; besides, [Errno 21] Is a directory")
    assert first in (folder / "report.html").read_text()


def test_a_chain_that_is_cut_off_says_so_and_not_that_it_runs(tmp_path):
    def cut_off(config: TrainConfig) -> int:
        assert "running" in json.loads((tmp_path / "summary.json").read_text())
        raise KeyboardInterrupt

    begun = chain(tmp_path, Work())
    begun.stages = [replace(stage, verb=training(cut_off, trains=False)) for stage in begun.stages]
    with pytest.raises(KeyboardInterrupt):
        run(begun)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert told["failed"] == "stopped before the end" and "running" not in told


def test_a_chain_that_cannot_record_a_stage_has_failed_and_does_not_run(tmp_path):
    begun = chain(tmp_path, Work())
    (tmp_path / "chain.json").unlink()
    (tmp_path / "chain.json").mkdir()
    with pytest.raises(RunFailure, match="Is a directory"):
        run(begun)
    assert "Is a directory" in json.loads((tmp_path / "summary.json").read_text())["failed"]


@pytest.mark.slow
def test_a_chain_can_be_a_member_of_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    seen = []

    def write_summary(config: TrainConfig) -> int:
        seen.append([(stage.config.output, stage.config.data.root) for stage in stages_of(config)])
        summary = {"reward_last": 1.0, "stages": {"a": {"reward_last": stages_of(config)[0].config.algo.lr}}}
        (Path(config.output) / "summary.json").write_text(json.dumps(summary))
        return 0

    typed = ["-m", "output=swept", "stages.a.algo.lr=1e-5,1e-4", "logging.rank_by=stages.a.reward_last"]
    assert run_verb(training(write_summary, trains=True), [*typed, "stages.b.data.root=${stage:a}/parts"]) == 0
    assert seen[1] == [("swept/1/1_a", "data/demo"), ("swept/1/2_b", "swept/1/1_a/parts")]
    best = (tmp_path / "swept/sweep.csv").read_text().splitlines()[1]
    assert best.startswith("1,1,0.0001,")

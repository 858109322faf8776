"""The stages of a chain: their configs, and what is refused before the first one runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from conf.schema import TrainConfig
from launch.chain.stages import check_run, check_run_here, stages_of, trainings_of
from launch.command.composing import jobs_of, open_composer

CHAIN = """# @package _global_
num_steps: 5
rollout: {max_prompt_tokens: 256, max_response_tokens: 64}
stages:
  sft:
    algo: {lr: 1e-4}
    num_steps: 7
  rl:
    reward: {box: {weight: 2}}
"""


def compose(*overrides: str, file: str = CHAIN) -> TrainConfig:
    Path("own/experiment").mkdir(parents=True, exist_ok=True)
    Path("own/experiment/mine.yaml").write_text(file)
    with open_composer("train", TrainConfig, [f"hydra.searchpath=[{Path('own').resolve()}]"]) as composer:
        return composer.compose(["experiment=mine", "output=runs/x", "data.root=.", *overrides])


def composed_of(overrides: Sequence[str]) -> TrainConfig:
    with open_composer("train", TrainConfig, []) as composer:
        return composer.compose(["output=runs/x", "data.root=.", *overrides])


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/starter").mkdir(parents=True)
    return tmp_path


def test_a_stage_is_the_config_of_all_with_what_it_says_itself():
    config = compose("algo.lr=1e-3", "seed=3")
    sft, rl = stages_of(config)
    assert [stage.name for stage in (sft, rl)] == ["sft", "rl"]
    assert (sft.config.algo.lr, sft.config.num_steps, rl.config.algo.lr, rl.config.num_steps) == (1e-4, 7, 1e-3, 5)
    assert (sft.config.reward.box.weight, rl.config.reward.box.weight) == (config.reward.box.weight, 2.0)
    assert sft.config.seed == rl.config.seed == 3
    assert type(sft.config) is TrainConfig and sft.config.stages == {}
    assert replace(sft.config.algo, lr=1e-3) == rl.config.algo == config.algo


def test_the_command_line_changes_one_stage_also_where_the_file_says_nothing():
    sft, rl = stages_of(compose("stages.sft.algo.lr=2e-5", "stages.rl.algo.kl_weight=0.04", "algo.kl_weight=0.5"))
    assert (sft.config.algo.lr, sft.config.algo.kl_weight, rl.config.algo.kl_weight) == (2e-5, 0.5, 0.04)
    assert sft.config.num_steps == 7


def test_a_chain_can_be_typed_without_a_file():
    stages = stages_of(composed_of(["stages.b.num_steps=1", "stages.a.algo.lr=1e-4", "stages.b.algo.lr=1e-5"]))
    assert [(stage.folder, stage.config.algo.lr) for stage in stages] == [
        (Path("runs/x/1_b"), 1e-5),
        (Path("runs/x/2_a"), 1e-4),
    ]


def test_a_null_stage_is_left_out_and_not_counted():
    (stage,) = stages_of(compose("stages.sft=null"))
    assert (stage.name, stage.folder) == ("rl", Path("runs/x/1_rl"))


def test_a_run_without_stages_is_one_training():
    config = composed_of([])
    assert (stages_of(config), trainings_of(config)) == ([], [config])
    assert [run.num_steps for run in trainings_of(compose())] == [7, 5]


def test_stages_are_told_apart_in_wandb_by_name_and_held_together_by_their_group():
    sft, rl = (stage.config.logging for stage in stages_of(compose("stages.rl.logging.run_name=mine")))
    # Without a name of its own, a stage is called by what was typed and its name.
    assert (sft.run_name, sft.group, rl.run_name, rl.group) == ("", "x", "mine", "x")
    sft, _ = (stage.config.logging for stage in stages_of(compose("logging.run_name=judo", "logging.group=papers")))
    assert (sft.run_name, sft.group) == ("judo/1_sft", "papers")


def test_what_an_earlier_stage_makes_is_named_by_the_stage_and_not_asked_for_yet():
    config = compose("stages.rl.data.root=${stage:sft}/parts", "stages.rl.model.path=${output}/1_sft/model")
    _, rl = stages_of(config)
    assert (rl.config.data.root, rl.config.model.path) == ("runs/x/1_sft/parts", "runs/x/1_sft/model")
    check_run(config)
    check_run_here(config)
    with pytest.raises(ValueError, match=r"stage rl: data.root: there is no folder 'runs/x/other'"):
        check_run_here(compose("stages.rl.data.root=${output}/other"))


REFUSED = {
    "stages.sft.algo.lrr=1": "stages.sft.algo.lrr is not a key; did you mean algo.lr?",
    "stages.sft.algo=1": "stages.sft.algo is a section; its keys are algo.",
    "stages.sft.algo.lr=fast": "stages.sft.algo.lr must be a number > 0; got fast",
    "stages.sft.algo.lr=null": "stages.sft.algo.lr must be a number > 0; got null",
    "stages.sft.algo.lr=-1": "stages.sft.algo.lr must be > 0; got -1.0",
    "stages.sft=5": "stages.sft must hold the keys that differ in this stage; got 5",
    "stages.sft.verb=sing": "stages.sft.verb must be one of train, pairs; got sing",
    "stages.sft.seed=4": "stages.sft.seed cannot differ from the other stages; leave it out",
    "stages.sft.output=there": "stages.sft.output cannot differ from the other stages; leave it out",
    "stages.sft.data.root=${stage:rl}": "stages.sft.data.root=runs/x/2_rl is not there before the stage rl is done",
    "stages.sft.data.root=${stage:lr}": "stages has no stage 'lr' that ${stage:lr} could name; there are sft, rl",
    "stages.stf.algo.lr=1e-4": "stages.stf is not there; did you mean stages.sft? There are sft, rl",
    "stages.rl.algo.num_updates=3": "stage rl: algo.num_updates must divide algo.num_prompts; got 3",
    "resume=runs/y": "resume=runs/y names a checkpoint; a chain goes on with resume=auto and its output",
    "stages=5": "stages must be a mapping; got 5",
}


@pytest.mark.parametrize("override", REFUSED)
def test_a_mistake_in_a_stage_is_named_with_its_whole_key(override):
    with pytest.raises(ValueError) as caught:
        check_run(compose(override))
    assert str(caught.value).startswith(REFUSED[override]) and "\n" not in str(caught.value)


def test_a_chain_of_nothing_and_a_name_that_no_folder_can_have_are_refused():
    with pytest.raises(ValueError, match="every stage is null; leave one"):
        check_run(compose("stages.sft=null", "stages.rl=null"))
    with pytest.raises(ValueError, match=r"stages: 'a/b' cannot name a folder"):
        check_run(compose(file="# @package _global_\nstages: {a/b: {num_steps: 1}}\n"))


def test_a_sweep_varies_a_key_of_one_stage():
    jobs = jobs_of(["stages.a.num_steps=1", "stages.b.algo.lr=1e-5,1e-4"], "basic")
    assert [stages_of(composed_of(job))[1].config.algo.lr for job in jobs] == [1e-5, 1e-4]


def test_a_key_that_does_nothing_for_a_stage_is_refused():
    file = "# @package _global_\nstages:\n  pairs: {verb: pairs, data: {lessons: mine.jsonl}}\n"
    with pytest.raises(ValueError, match=r"stages.pairs.data.lessons does nothing here: pairs become lessons"):
        check_run(compose(file=file))

"""A model is asked as it was trained, unless something else is typed."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from builders.checkpoint_folders import write_checkpoint
from conf.schema import UNREAD_BY_PREDICT, PredictConfig, TrainConfig
from launch.__main__ import assay
from launch.chain.stages import stages_of
from launch.chain.verb import TRAIN_OR_CHAIN
from launch.command.composing import open_composer
from launch.command.remembering import remember
from launch.run.folder import plain
from rl.data.config import DataConfig, Instructions
from rl.faults import UserError
from rl.types import Task

TRAINED = TrainConfig(data=DataConfig(task=Task.yes_no, instructions=Instructions.none, square=112))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_checkpoint(tmp_path / "photos", 60, config=plain(TRAINED))
    return tmp_path / "photos"


def remembered(run: Path, *typed: str) -> tuple[PredictConfig, list[str]]:
    """Return the config of a predict with these overrides and the model of `run`, and what is said of it."""
    with open_composer("predict", PredictConfig, [], UNREAD_BY_PREDICT) as composer:
        return composer.compose_and_tell([f"model.path={run}", "reference=good.png", *typed])


def trained(run: Path, *typed: str, own: Path | None = None) -> tuple[TrainConfig, list[str]]:
    """Return the config of a training with these overrides and the model of `run`, and what is said of it."""
    searchpath = [f"hydra.searchpath=[{own}]"] if own else []
    with open_composer("train", TrainConfig, searchpath, stages=TRAIN_OR_CHAIN.stages) as composer:
        return composer.compose_and_tell([f"model.path={run}", "output=runs/new", *typed])


def write_files(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_a_run_brings_its_task_form_and_size_and_says_so(run: Path):
    config, (sentence,) = remembered(run)
    assert (config.data.task, config.data.instructions, config.data.square) == (Task.yes_no, Instructions.none, 112)
    assert sentence == (f"{run} is asked as in its training: data.task=yes_no, data.instructions=none, data.square=112")


def test_what_is_typed_wins_and_is_warned_of(run: Path):
    config, said = remembered(run, "data.square=224")
    assert config.data.square == 224 and config.data.task is Task.yes_no
    assert said[1] == f"warning: {run} is asked otherwise than in its training: data.square=224, where it was 112"


def test_an_experiment_keeps_only_what_its_file_sets(run: Path, tmp_path: Path):
    own = write_files(tmp_path, {"experiment/mine.yaml": "# @package _global_\ndata: {instructions: paper}\n"})
    config, said = trained(run, "experiment=mine", own=own)
    assert (config.data.instructions, config.data.square, config.data.task) == (Instructions.paper, 112, Task.yes_no)
    assert said == [
        f"{run} is asked as in its training: data.task=yes_no, data.square=112, model.precision=bf16",
        f"warning: {run} is asked otherwise than in its training: data.instructions=paper, where it was none",
    ]


@pytest.mark.parametrize(
    ("files", "typed"),
    [
        ({"data/mine.yaml": "square: 56\n"}, "data=mine"),
        ({"ablation/mine.yaml": "# @package _global_\ndata: {square: 56}\n"}, "ablation=mine"),
        ({"rollout/mine.yaml": "# @package _global_\ndata: {square: 56}\n"}, "rollout=mine"),
        (
            {
                "experiment/base.yaml": "# @package _global_\ndata: {square: 56}\n",
                "experiment/mine.yaml": "# @package _global_\ndefaults: [base, _self_]\nnum_steps: 2\n",
            },
            "experiment=mine",
        ),
        (
            {
                "data/mine.yaml": "square: 56\n",
                "experiment/base.yaml": "# @package _global_\ndefaults: [{override /data: mine}]\n",
                "experiment/mine.yaml": "# @package _global_\ndefaults: [base, _self_]\nnum_steps: 2\n",
            },
            "experiment=mine",
        ),
        (
            {
                "data/base.yaml": "heldout_share: 0.3\n",
                "data/mine.yaml": "defaults: [base, _self_]\nsquare: 56\n",
                "experiment/mine.yaml": "# @package _global_\ndefaults: [{override /data: mine}]\n",
            },
            "experiment=mine",
        ),
    ],
    ids=[
        "data",
        "ablation",
        "rollout",
        "a file of its defaults",
        "an option that its defaults choose",
        "with defaults",
    ],
)
def test_what_a_file_of_a_named_option_sets_wins(run: Path, tmp_path: Path, files: dict[str, str], typed: str):
    config, said = trained(run, typed, own=write_files(tmp_path, files))
    assert (config.data.square, config.data.task) == (56, Task.yes_no)
    assert "data.square=56, where it was 112" in said[-1]


def test_the_options_of_no_named_group_do_not_win(run: Path):
    # conf/data/demo.yaml, which sets instructions, is the default of a training.
    write_checkpoint(run, 61, config=plain(TrainConfig(data=DataConfig(instructions=Instructions.paper))))
    assert trained(run)[0].data.instructions is Instructions.paper
    assert trained(run, "data=demo")[0].data.instructions is Instructions.none
    assert trained(run, "experiment=demo")[0].data.instructions is Instructions.none


def test_an_experiment_that_names_a_reward_keeps_a_task_that_only_the_reward_can_judge(run: Path):
    config, (sentence, warning) = trained(run, "experiment=judo")
    assert config.data.task is Task.grid and config.data.square == 112
    assert "data.square=112" in sentence and "data.task=grid, where it was yes_no" in warning


def test_the_precision_of_a_model_wins_over_that_of_an_experiments_model(run: Path):
    config, said = trained(run, "experiment=demo", "data=folder")
    assert config.model.precision is TRAINED.model.precision
    assert f"model.precision={TRAINED.model.precision.name}" in said[0]


def test_a_stage_with_a_model_of_its_own_asks_it_as_in_its_training(run: Path, tmp_path: Path):
    file = f"""# @package _global_
stages:
  first: {{num_steps: 1, data: {{square: 56}}, model: {{path: {run}}}}}
  pairs: {{verb: pairs, data: {{task: routed}}, model: {{path: {run}}}}}
  last: {{num_steps: 1}}
"""
    config, said = trained(
        Path("models/starter"), "experiment=mine", own=write_files(tmp_path, {"experiment/mine.yaml": file})
    )
    first, pairs, last = (stage.config.data for stage in stages_of(config))
    assert (first.task, first.square) == (Task.yes_no, 56)
    assert (pairs.task, pairs.square) == (Task.routed, 112)
    assert (last.task, last.square) == (Task.boxes, 0)
    assert said[1] == (
        f"warning: stage first: {run} is asked otherwise than in its training: data.square=56, where it was 112"
    )


def test_a_stage_whose_model_says_nothing_is_asked_like_the_chains_model_and_warns(run: Path, tmp_path: Path):
    strange = write_files(tmp_path / "strange", {"config.json": "{}"})
    stages = [f"stages.a.model.path={strange}", "stages.a.data.square=56", "stages.b.num_steps=1"]
    _, said = trained(run, *stages)
    assert said[-1].startswith(f"warning: stage a: {strange} does not say how it was asked; it is asked as {run}: ")
    assert "data.task=yes_no" in said[-1] and "data.square" not in said[-1]


def test_what_is_typed_for_all_stages_wins_over_the_model_of_one(run: Path):
    config, said = trained(Path("models/starter"), f"stages.a.model.path={run}", "data.square=224")
    (stage,) = stages_of(config)
    assert (stage.config.data.square, stage.config.data.task) == (224, Task.yes_no)
    assert said[-1].startswith("warning: stage a: ")


def test_a_model_that_a_stage_of_the_chain_makes_brings_nothing(tmp_path: Path):
    made = write_files(tmp_path / "1_a/model", {"assay.json": '{"data.square": 112}', "config.json": "{}"})
    stages = ["stages.a.num_steps=1", f"stages.b.model.path={made}"]
    config, said = trained(Path("models/starter"), f"output={tmp_path}", *stages)
    assert [stage.config.data.square for stage in stages_of(config)] == [0, 0] and not said


def test_a_wrong_value_of_a_stage_with_a_model_is_refused_by_its_key(run: Path):
    with pytest.raises(UserError, match=r"^stages\.a\.data\.square must be an integer ≥ 0; got wide"):
        trained(Path("models/starter"), f"stages.a.model.path={run}", "stages.a.data.square=wide")


def test_a_key_that_the_verb_ignores_is_left_out(run: Path):
    write_checkpoint(run, 61, config=plain(TrainConfig(data=DataConfig(with_reference=False))))
    config, said = remembered(run)
    assert config.data.with_reference and "with_reference" not in "".join(said)


def test_nothing_is_said_where_nothing_differs(run: Path):
    assert remembered(run, "data.task=yes_no", "data.instructions=none", "data.square=112")[1] == []


def test_of_a_named_reward_and_model_the_model_has_the_task_if_the_reward_can_judge_it():
    tasks = {}
    with open_composer("train", TrainConfig, []) as composer:
        for typed in ("reward=cgro", "reward=yes_no model=starter_yes_no", "reward=judo model=starter_yes_no"):
            tasks[typed] = composer.compose(typed.split()).data.task.name
    assert list(tasks.values()) == ["yes_no", "yes_no", "grid"]


def test_a_refusal_says_that_the_model_brought_the_key_along(capsys):
    assert assay(["train", "model=starter_yes_no"]) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("assay train: data.task=yes_no asks for answers that reward.box cannot judge")
    assert "; models/starter_yes_no is asked as in its training: data.task=yes_no, " in sentence


def test_a_config_that_is_only_shown_says_what_the_model_brings_along(run: Path, capsys):
    assert assay(["predict", f"model={run}", "input=photos", "--cfg", "job"]) == 0
    assert "data.square=112" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"task": "box"}, r"data\.task must be one of yes_no, boxes, .*; got box; mend its assay\.json"),
        ({"square": "wide"}, r"data\.square must be an integer ≥ 0; got wide"),
        ({"question": "${oc.env:HOME}"}, r"data\.question must not hold \$\{"),
        ({"anomaly_words": ["rust", "${oc.env:HOME}"]}, r"data\.anomaly_words must not hold \$\{"),
    ],
)
def test_a_model_of_a_stranger_is_not_believed(tmp_path: Path, values: dict, sentence: str):
    write_checkpoint(tmp_path, 1, config={"data": values})
    with pytest.raises(UserError, match=f"model.path={tmp_path} says wrongly how it was asked: {sentence}"):
        remembered(tmp_path)


def test_without_a_model_the_working_folder_is_not_taken_for_one(tmp_path: Path, monkeypatch):
    (tmp_path / "assay.json").write_text('{"data.square": 112}')
    monkeypatch.chdir(tmp_path)
    composed = OmegaConf.structured(PredictConfig())
    assert remember(composed, [], PredictConfig, UNREAD_BY_PREDICT) == [] and composed.data.square == 0


def test_a_typed_model_and_its_numbers_reach_the_config_of_a_training(run: Path):
    with open_composer("train", TrainConfig, []) as composer:
        config = composer.compose([f"model.path={run}", "data.root=photos"])
        named = composer.compose([f"model.path={run}", "data.root=photos", "data.square=0"])
    assert (config.data.task, config.data.square, config.data.root) == (Task.yes_no, 112, "photos")
    assert (named.data.task, named.data.square) == (Task.yes_no, 0)


def test_the_starters_say_how_they_were_trained():
    found = {}
    with open_composer("predict", PredictConfig, []) as composer:
        for name in ("starter", "starter_forms", "starter_routed", "starter_yes_no"):
            data = composer.compose([f"model={name}", "input=photos"]).data
            found[name] = (data.task.name, data.instructions.name)
    assert found == {
        "starter": ("boxes", "none"),
        "starter_forms": ("yes_no", "none"),
        "starter_routed": ("routed", "none"),
        "starter_yes_no": ("yes_no", "none"),
    }

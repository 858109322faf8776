"""`assay pairs` without engines: mistakes, kills at any byte, and the folder's files."""

import json
import random
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import pytest

from conf.keys import sections, walk
from conf.schema import UNREAD_BY_PAIRS, PairsConfig, TrainConfig
from launch.__main__ import assay
from launch.command.composing import open_composer
from launch.pairs.folder import PAIRS, SELECTION, TRAJECTORIES, PairsFolder, claim, key_of
from launch.pairs.run import main, read_pairings
from launch.train.begin import read_data
from rl.data.demo.synthesis import write_demo
from rl.data.pairs.journal import Journal
from rl.faults import RunFailure
from rl.types import Sample, Task
from rollout import endpoint

ROOT = Path(__file__).parents[3]
MODEL = ROOT / "models/starter_forms"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder, seed=0, num_parts=8)
    return folder


@pytest.fixture
def given(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the arguments of all runs here; uniform choice needs no encoder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    return [
        f"model.path={MODEL}",
        f"data.root={demo}",
        "data.knowledge.wrong=uniform",
        "pairs.wrong=uniform",
        f"output={tmp_path}/run",
        "pairs.margin=1",
        "pairs.batch=7",
    ]


def composed(arguments: list[str]) -> PairsConfig:
    with open_composer("pairs", PairsConfig, []) as composer:
        return composer.compose(arguments)


def samples_of(config: PairsConfig) -> list[Sample]:
    return [each.sample for each in read_pairings(config)]


LOCAL = "127.0.0.1"
ENDPOINT = f"pairs.teacher=endpoint rollout.teacher.url=http://{LOCAL}:9/v1 rollout.teacher.model=large"
MISTAKES = {
    "output=": "output is empty; give the folder of the pairs, e.g. output=runs/mine",
    "data.root=nowhere": "data.root: there is no folder 'nowhere'; give that of your images, or let `assay data`",
    "data.root=": "data.root is empty; give the folder of your images, data.root=FOLDER",
    "data.knowledge.file=": "data.knowledge.file is empty; pairs reason under right and wrong knowledge, so give",
    "data.task=boxes": "data.task=boxes has no place for knowledge in its answers; choose data.task=routed",
    "data.with_reference=false": "data.with_reference=false shows one image, but data.task=routed asks",
    "model.path=./nowhere": "model.path: './nowhere' is neither a folder nor a hub id such as owner/name",
    "pairs.margin=-1": "pairs.margin must be ≥ 0; got -1",
    "pairs.margin=2": "pairs.margin must be ≤ 1; got 2",
    "pairs.attempts=0": "pairs.attempts must be ≥ 1; got 0",
    "pairs.teacher=larger": "pairs.teacher must be one of template, policy, endpoint; got larger",
    "pairs.teacher=endpoint": "rollout.teacher.url='' is no address; give that of a chat server, from http",
    f"rollout.teacher.url=ftp://me:secret@{LOCAL}/v1": "rollout.teacher.url must hold no user:password@",
    f"{ENDPOINT} rollout.teacher.key_env=NO_SUCH_KEY": (
        "rollout.teacher.key_env: the environment has no NO_SUCH_KEY; export it where the run starts"
    ),
    "pairs.wrong=deceptive": (
        "pairs.wrong=deceptive takes the nearest of the wrong entries, but data.knowledge.wrong=uniform offers any of "
        "them in no order; choose the same for both"
    ),
    "data.anomaly_words=[rust]": "data.anomaly_words does nothing here: nobody asks where the model looks",
    "cluster.reference_cache=elsewhere": "cluster.reference_cache does nothing here: nothing is learned",
    "pairs.margin=0.1 cluster.num_rollout_workers=999": "cluster: the run needs 999 × rollout worker",
    "pairs.teacher=policy cluster.num_rollout_workers=999": "cluster: the run needs 999 × rollout worker",
    "rollout.temperature=0.001": "rollout.temperature must be ≥ 0.01",
    "model.lora.rank=4": "model.lora.rank does nothing here: nothing is learned",
    "pairs.marign=1": "pairs.marign is not a key; did you mean pairs.margin?",
}


@pytest.mark.slow
@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_costs_one_line_and_exit_code_2(typed, given, capsys):
    names = {word.partition("=")[0] for word in typed.split()}
    words = [word for word in given if word.partition("=")[0] not in names] + typed.split()
    assert assay(["pairs", *words]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"assay pairs: {MISTAKES[typed]}") and (out, err.count("\n")) == ("", 1)


def run(given: list[str], capsys: pytest.CaptureFixture[str]) -> dict:
    assert assay(["pairs", *given]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_every_training_sample_becomes_a_pair_in_its_order(given, capsys, tmp_path):
    summary = run(given, capsys)
    lines = [json.loads(line) for line in (tmp_path / "run" / PAIRS).read_text().splitlines()]
    samples = samples_of(composed(given))
    assert [line["id"] for line in lines] == [sample.id for sample in samples]
    assert summary["samples"] == summary["kept"] == summary["pairs"] == len(lines) > 20 and summary["rejected"] == {}
    for line, sample in zip(lines, samples, strict=True):
        assert line["chosen"].endswith(f"<answer>{sample.target.option}</answer>")
        assert line["chosen"].startswith(f"<knowledge>{line['knowledge']}: ")
        assert line["rejected"].startswith(f"<knowledge>{line['wrong_knowledge']}: ")
        assert line["wrong_knowledge"] in sample.target.offered[1:] and line["p_right"] is None
    assert json.loads((tmp_path / "run/summary.json").read_text()) == summary
    assert "<h2>Pairs</h2>" in (tmp_path / "run/report.html").read_text()


def test_the_samples_are_those_that_train_learns_from(given):
    config = composed(given)
    train = TrainConfig(seed=config.seed, model=config.model, data=config.data, rollout=config.rollout)
    assert [sample.id for sample in samples_of(config)] == [sample.id for sample in read_data(train).training]
    assert {sample.task for sample in samples_of(config)} == {Task.routed}


def test_a_kill_at_any_byte_changes_no_byte(given, tmp_path):
    config = composed(given)
    assert main(config) == 0
    folder = tmp_path / "run"
    before = {name: (folder / name).read_bytes() for name in (TRAJECTORIES, PAIRS)}
    rng = random.Random(0)
    for _ in range(5):
        cut = rng.randrange(len(before[TRAJECTORIES]))
        (folder / TRAJECTORIES).write_bytes(before[TRAJECTORIES][:cut])
        (folder / PAIRS).unlink()
        assert main(config) == 0
        assert {name: (folder / name).read_bytes() for name in before} == before
    shutil.rmtree(folder)
    assert main(config) == 0
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "what"),
    [("seed=1", "config and data"), ("pairs.attempts=2", "config"), ("data.knowledge.num_wrong=2", "config and data")],
)
def test_a_folder_of_other_pairs_is_refused(changed, what, given, capsys, tmp_path):
    run(given, capsys)
    assert assay(["pairs", *given, changed]) == 2
    sentence = f"assay pairs: output={tmp_path}/run holds pairs of another {what}; give another folder\n"
    assert capsys.readouterr().err.endswith(sentence)


def test_keys_that_change_no_byte_may_change_between_runs(given, capsys, tmp_path, demo):
    run(given, capsys)
    shutil.copytree(demo, tmp_path / "moved")
    typed = [*given, f"data.root={tmp_path}/moved", "rollout.teacher.timeout_s=5", "data.num_heldout=7"]
    config = composed(typed)
    claim(tmp_path / "run", key_of(config, samples_of(config)))


def test_another_pixel_is_another_key(given, tmp_path, demo):
    shutil.copytree(demo, tmp_path / "altered")
    config = composed([*given, f"data.root={tmp_path}/altered"])
    samples = samples_of(config)
    before = key_of(config, samples)
    image = bytearray(samples[3].images[-1].read_bytes())
    image[-20] ^= 1
    samples[3].images[-1].write_bytes(image)
    after = key_of(config, samples)
    assert {name for name in before if before[name] != after[name]} == {"data"}


def test_another_model_is_another_key(given, tmp_path):
    config = composed(given)
    shutil.copytree(MODEL, tmp_path / "model")
    first = key_of(replace(config, model=replace(config.model, path=str(tmp_path / "model"))), [])
    weights = bytearray((tmp_path / "model/model.safetensors").read_bytes())
    weights[-5] ^= 1
    (tmp_path / "model/model.safetensors").write_bytes(weights)
    second = key_of(replace(config, model=replace(config.model, path=str(tmp_path / "model"))), [])
    assert first == key_of(config, [])
    assert {name for name in first if first[name] != second[name]} == {"model"}


def select(folder: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Write the journal of a selection that has come so far."""
    with Journal(folder / SELECTION) as journal:
        for line in lines:
            journal.add(line)


def test_a_run_without_a_pair_fails_and_its_folder_says_so(given, tmp_path):
    config = composed([*given, "pairs.margin=0.1"])
    samples = samples_of(config)
    (tmp_path / "run").mkdir()
    claim(tmp_path / "run", key_of(config, samples))
    chance = {"p_right": 1.0, "num_options": 4, "answered": 8, "kept": False}
    select(tmp_path / "run", [{"id": each.id, **chance} for each in samples])
    with pytest.raises(RunFailure, match=f"the right option of none of {len(samples)} samples as likely as chance"):
        main(config)
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert (
        summary["kept"] == summary["pairs"] == 0
        and "raise pairs.margin=0.1 or pairs.num_answers=8" in summary["failed"]
    )
    assert '<span class="status bad">failed</span>' in (tmp_path / "run/report.html").read_text()


def test_a_model_that_gives_no_option_is_named(given, tmp_path):
    config = composed([*given, "pairs.margin=0.1"])
    samples = samples_of(config)
    (tmp_path / "run").mkdir()
    claim(tmp_path / "run", key_of(config, samples))
    chance = {"p_right": 0.0, "num_options": 4, "answered": 0, "kept": False}
    select(tmp_path / "run", [{"id": each.id, **chance} for each in samples])
    with pytest.raises(RunFailure, match=f"no answer of {MODEL} to {len(samples)} samples gives an option; choose a "):
        main(config)


def test_an_endpoint_out_of_reach_is_named_before_the_selection(given, capsys, monkeypatch):
    monkeypatch.setattr(endpoint, "PAUSE_S", 0.01)
    assert assay(["pairs", *given, *ENDPOINT.split()]) == 1
    assert f"the teacher at rollout.teacher.url=http://{LOCAL}:9/v1 is out of reach" in capsys.readouterr().err


def test_a_folder_with_something_else_is_refused(given, capsys, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.jsonl").write_text("")
    assert assay(["pairs", *given]) == 2
    assert "holds something else (metrics.jsonl); give another folder" in capsys.readouterr().err


def test_samples_that_the_model_doubts_are_kept_and_the_rest_are_counted(given, tmp_path):
    config = composed([*given, "pairs.margin=0.1"])
    samples = samples_of(config)[:4]
    (tmp_path / "run").mkdir()
    lines = [
        {"id": sample.id, "p_right": p, "num_options": 4, "answered": answered, "kept": kept}
        for sample, p, answered, kept in zip(
            samples, (0.3, 0.9, 0.0, 0.2), (8, 8, 0, 3), (True, False, False, True), strict=True
        )
    ]
    select(tmp_path / "run", lines[:3])
    with (tmp_path / "run" / SELECTION).open("a") as file:
        file.write('{"id": "to')
    folder = PairsFolder(tmp_path / "run", samples, config)
    assert folder.kept == [samples[0]] and not folder.is_selected
    assert folder.progress() == "3 of 4 samples asked about"
    with folder.selection as journal:
        journal.add(lines[3])
    assert folder.kept == [samples[0], samples[3]] and folder.is_selected and not folder.is_written
    assert folder.selection_counts() == {"kept": 2, "unanswered": 1}
    texts = {"chosen": "yes", "rejected": None, "knowledge": "Hole", "wrong_knowledge": "Stain"}
    failures = [{"side": "rejected", "attempt": 0, "reasons": ["leak: 'hint'", "form: odd"], "text": "hint"}]
    with folder.trajectories as journal:
        journal.add({"id": samples[0].id, **texts, "failures": failures})
        journal.add({"id": samples[3].id, **texts, "rejected": "no", "failures": []})
    assert folder.progress() == "2 of 2 samples written about"
    assert folder.is_written and folder.rejected() == {"leak": 1}
    assert folder.refused() == {"chosen": {}, "rejected": {"leak": 1, "form": 1}}
    (pair,) = folder.pairs()
    assert (pair["id"], pair["p_right"]) == (samples[3].id, 0.2)


def test_every_key_listed_as_unread_exists():
    assert set(UNREAD_BY_PAIRS) <= {key.path for key in walk(PairsConfig)} | set(sections(PairsConfig))

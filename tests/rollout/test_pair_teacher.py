"""Trajectories from an endpoint: what it is asked, and what it must not see."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from builders.chat_server import ChatServer, says, serving
from rl.data.config import Choice, DataConfig, Instructions
from rl.data.knowledge.entries import Entry
from rl.data.knowledge.offers import Offer
from rl.data.pairs.config import RoutingConfig
from rl.data.pairs.trajectories import Pairing, is_pair, pairing, seed_of, why_left_out, write_pairs
from rl.faults import RunFailure
from rl.types import Sample, Target, Task
from rollout import endpoint
from rollout.config import RolloutConfig, TeacherConfig
from rollout.pair_teacher import EndpointPairTeacher

RIGHT = "<knowledge>Crack: fits.</knowledge><think>Deep.</think><answer>A</answer>"
WRONG = "<knowledge>Stain: fits.</knowledge><think>Flat.</think><answer>B</answer>"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PAUSE_S", 0.01)


@pytest.fixture
def model(tiny_model: Path) -> str:
    return str(tiny_model)


@pytest.fixture
def asked(tmp_path: Path) -> Pairing:
    Image.new("RGB", (60, 58)).save(tmp_path / "part.png")
    offer = Offer(right=entry("Crack"), wrong=(entry("Stain"),))
    target = Target(label="defective", option="A", options={"A": "crack", "B": "stain"}, offered=offer.names)
    sample = Sample(
        id="metal/0",
        images=(tmp_path / "part.png",),
        question="Which?",
        target=target,
        category="metal",
        task=Task.routed,
    )
    return pairing(sample, offer, Choice.deceptive)


def entry(name: str) -> Entry:
    return Entry(dataset="d", object="metal", defect=name.lower(), name=name, text="It is known.")


def written(
    server: ChatServer, model: str, asked: Pairing, attempts: int = 3, instructions: Instructions = Instructions.paper
) -> dict:
    teacher = TeacherConfig(url=server.url, model="large", max_concurrency=1)
    data = DataConfig(instructions=instructions)
    teacher = EndpointPairTeacher(RolloutConfig(teacher=teacher, max_response_tokens=99), model, data, print)
    (line,) = asyncio.run(write_pairs([asked], teacher, RoutingConfig(attempts=attempts), 7))
    return dict(line)


def test_each_side_is_asked_for_in_the_words_of_the_run_with_its_hint(model: str, asked: Pairing):
    with serving(says(RIGHT), says(WRONG)) as server:
        line = written(server, model, asked)
    assert (line["chosen"], line["rejected"], line["failures"]) == (RIGHT, WRONG, [])
    right, wrong = (body["messages"][-1]["content"] for body in server.asked)
    assert [part["type"] for part in right] == ["image_url", "text"]
    assert right[-1]["text"].startswith('Which?\n(Hint: choose the knowledge "Crack", ')
    assert "the right option is B, stain." in wrong[-1]["text"]
    assert "<knowledge></knowledge>" in right[-1]["text"]
    assert {body["seed"] for body in server.asked} == {seed_of(7, "metal/0", 0)}


def test_an_endpoint_is_told_the_form_that_the_runs_model_knows_untold(model: str, asked: Pairing):
    with serving(says(RIGHT), says(WRONG)) as server:
        assert is_pair(written(server, model, asked, instructions=Instructions.none))
    assert "<knowledge></knowledge>" in server.asked[0]["messages"][-1]["content"][-1]["text"]


def test_a_refused_text_is_asked_for_anew_with_another_seed(model: str, asked: Pairing):
    with serving(says(RIGHT), says(RIGHT), says("cut", "length"), says(WRONG)) as server:
        line = written(server, model, asked)
    assert is_pair(line) and [failure["text"] for failure in line["failures"]] == [RIGHT, ""]
    assert [body["seed"] for body in server.asked[1:]] == [seed_of(7, "metal/0", attempt) for attempt in range(3)]


def test_what_no_attempt_gets_right_is_left_out(model: str, asked: Pairing):
    with serving(says(RIGHT.replace("Deep.", "As the hint says."))) as server:
        line = written(server, model, asked, attempts=2)
    assert len(server.asked) == 4 and why_left_out(line) == "leak"


def test_text_only_samples_are_asked_without_images(model: str, asked: Pairing):
    bare = replace(asked, sample=replace(asked.sample, images=()))
    with serving(says(RIGHT), says(WRONG)) as server:
        assert is_pair(written(server, model, bare))
    assert [part["type"] for part in server.asked[0]["messages"][-1]["content"]] == ["text"]


def test_half_characters_do_not_come_through(model: str, asked: Pairing):
    with serving(says(RIGHT.replace("Deep", "Deep \ud800")), says(WRONG)) as server:
        assert "Deep ?." in written(server, model, asked)["chosen"]


def test_an_endpoint_that_is_gone_is_a_sentence(model: str, asked: Pairing):
    with serving() as gone:
        pass
    with pytest.raises(RunFailure, match=r"the teacher at rollout\.teacher\.url=.* is out of reach"):
        written(gone, model, asked)

"""The teacher: what an endpoint is asked, what becomes of its failures, and whose texts are borrowed."""

import asyncio
import base64
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from builders.chat_server import ChatServer, says, serving
from builders.vllm_server import LOCAL
from rl.contrast import Repair
from rl.data.config import DataConfig
from rl.data.prompts import PromptBuilder, answer_text
from rl.faults import RunFailure, UserError
from rl.types import Completion, Group, Origin, Sample, Target, Task
from rollout import endpoint
from rollout.config import RolloutConfig, TeacherConfig, TeacherKind, check_teacher
from rollout.teacher import BorrowedTexts, EndpointTeacher

SOMEWHERE = f"http://{LOCAL}:8000/v1"
KEY, VARIABLE = "sk-very-secret", "ASSAY_TEST_TEACHER"


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PAUSE_S", 0.01)
    monkeypatch.setenv(VARIABLE, KEY)


@pytest.fixture(scope="module")
def builder(tiny_model: Path) -> PromptBuilder:
    return PromptBuilder(str(tiny_model), DataConfig())


def image(path: Path, size: tuple[int, int], shade: int) -> Path:
    Image.new("RGB", size, (shade, 90, 200)).save(path)
    return path


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(
        id="metal/001",
        images=(image(tmp_path / "reference.png", (200, 100), 10), image(tmp_path / "query.png", (60, 58), 20)),
        question="Any defect?",
        target=Target(label="normal", rationale="Even."),
        category="metal",
    )


def repair(builder: PromptBuilder, sample: Sample, untruth: str = "defective") -> Repair:
    sampled = Completion(token_ids=(5,), text="x", logprobs=(0.0,), finish_reason="stop", policy_version=0)
    group = Group(prompt=replace(builder.build(sample), pixels=None), completions=(sampled,) * 4)
    return Repair(group=group, origin=Origin.teacher, places=(0, 1), untruth=untruth)


def ask(
    server: ChatServer, builder: PromptBuilder, repairs: Sequence[Repair], seed: int = 3, **options: Any
) -> list[list[str]]:
    config = TeacherConfig(kind=TeacherKind.endpoint, url=server.url, model="large", **options)
    teacher = EndpointTeacher(RolloutConfig(teacher=config, max_response_tokens=99), builder.messages, print)
    return asyncio.run(teacher.write(repairs, seed))


def test_each_place_gets_a_text_of_its_own(builder: PromptBuilder, sample: Sample):
    with serving(says(" Yes. "), says("Yes, two."), says("a"), says("b")) as server:
        found = ask(server, builder, [repair(builder, sample)] * 2, max_concurrency=1)
    assert found == [["Yes.", "Yes, two."], ["a", "b"]]
    assert {body["seed"] for body in server.asked} == {3, 4}


def test_the_endpoint_is_asked_in_the_words_of_the_run_with_the_hint(builder: PromptBuilder, sample: Sample):
    with serving(says("Yes.")) as server:
        ask(server, builder, [repair(builder, sample)], key_env=VARIABLE)
    body = server.asked[0]
    assert (body["model"], body["max_tokens"], body["temperature"]) == ("large", 99, 1.0)
    *_, question = body["messages"]
    assert [part["type"] for part in question["content"]] == ["image_url", "image_url", "text"]
    words = question["content"][-1]["text"]
    assert words.startswith("Any defect?\n(Hint: this sample is abnormal.") and "<|" not in words
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_images_arrive_as_the_model_sees_them(builder: PromptBuilder, sample: Sample):
    with serving(says("Yes.")) as server:
        ask(server, builder, [repair(builder, sample)])
    urls = [part["image_url"]["url"] for part in server.asked[0]["messages"][-1]["content"][:2]]
    reference, inspected = (Image.open(BytesIO(base64.b64decode(url.partition("base64,")[2]))) for url in urls)
    assert inspected.size == builder.build(sample).image_size == (56, 56)
    assert inspected.getpixel((0, 0)) == (20, 90, 200)
    assert reference.size == (56, 28)


def test_a_text_that_was_cut_off_or_is_none_is_no_text(builder: PromptBuilder, sample: Sample):
    with serving(says("Yes. {'bbox", "length"), says(None)) as server:
        assert ask(server, builder, [repair(builder, sample)]) == [[]]


def test_a_refusal_is_not_repeated_and_never_shows_the_key(builder: PromptBuilder, sample: Sample):
    with serving((401, {"error": f"Incorrect API key provided: {KEY}"})) as server:
        with pytest.raises(RunFailure, match="answered 401") as caught:
            ask(server, builder, [repair(builder, sample)], key_env=VARIABLE, max_concurrency=1)
        assert len(server.asked) <= 2
    assert KEY not in str(caught.value) and "***" in str(caught.value)


@pytest.mark.parametrize("content", [b"<html>hello</html>", {"choices": []}, ["?"], {"choices": [{"text": "Yes"}]}])
def test_an_answer_that_is_no_chat_completion_is_a_sentence(builder: PromptBuilder, sample: Sample, content: Any):
    with serving((200, content)) as server, pytest.raises(RunFailure, match="answered no chat completion"):
        ask(server, builder, [repair(builder, sample)])


def test_silence_ends_after_the_timeout(builder: PromptBuilder, sample: Sample):
    with serving(says("Yes."), delay_s=1.0) as server:
        with pytest.raises(RunFailure, match=r"gave no answer in 0\.1 s; .* rollout\.teacher\.timeout_s"):
            ask(server, builder, [repair(builder, sample)], timeout_s=0.1)


def test_an_endpoint_that_is_not_there_is_a_sentence_at_the_start(builder: PromptBuilder):
    with serving() as gone:
        pass
    config = TeacherConfig(kind=TeacherKind.endpoint, url=gone.url, model="large")
    with pytest.raises(RunFailure, match="is out of reach"):
        asyncio.run(EndpointTeacher(RolloutConfig(teacher=config), builder.messages, print).check())


def test_a_key_that_is_not_in_the_environment_is_named_by_its_variable(builder: PromptBuilder):
    config = TeacherConfig(kind=TeacherKind.endpoint, url=SOMEWHERE, model="large", key_env="NO_SUCH_KEY")
    with pytest.raises(ValueError, match="the environment has no NO_SUCH_KEY"):
        EndpointTeacher(RolloutConfig(teacher=config), builder.messages, print)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": ""}, "teacher.url='' is no address"),
        ({"url": f"{LOCAL}:8000/v1"}, "is no address"),
        ({"url": SOMEWHERE.replace("8000", "80000")}, "is no address"),
        ({"url": SOMEWHERE.replace("//", "//[")}, "is no address"),
        ({"url": SOMEWHERE.replace("//", f"//me:{KEY}@")}, "key_env"),
        ({"url": SOMEWHERE.replace("http://", f"me:{KEY}@")}, "key_env"),
        ({"url": SOMEWHERE.replace("http://", f"ftp://me:{KEY}@")}, "key_env"),
        ({"url": f"{SOMEWHERE}?key={KEY}"}, "key_env"),
        ({"model": ""}, "teacher.model is empty"),
        ({"key_env": KEY}, "never the key"),
    ],
)
def test_an_endpoint_that_could_not_be_asked_is_refused_without_its_secrets(options: dict[str, str], words: str):
    config = TeacherConfig(kind=TeacherKind.endpoint, **{"url": SOMEWHERE, "model": "large", **options})
    with pytest.raises(UserError, match=words) as caught:
        check_teacher(config, is_asked=True)
    assert KEY not in str(caught.value)


def test_a_password_is_refused_in_the_url_of_an_endpoint_that_is_not_asked_too():
    with pytest.raises(UserError, match="key_env") as caught:
        check_teacher(TeacherConfig(url=SOMEWHERE.replace("//", f"//me:{KEY}@")), is_asked=False)
    assert KEY not in str(caught.value)


def test_a_teacher_that_nobody_asks_is_refused():
    with pytest.raises(ValueError, match="algo.contrastive=true"):
        check_teacher(TeacherConfig(kind=TeacherKind.policy), is_asked=False)
    check_teacher(TeacherConfig(), is_asked=False)


def lender(folder: Path, name: str, target: Target, category: str = "metal", task: Task = Task.boxes) -> Sample:
    file = image(folder / f"{name}.png", (60, 58), 30)
    return Sample(id=name, images=(file,), question="?", target=target, category=category, task=task)


def defective(rationale: str) -> Target:
    return Target(label="defective", boxes=((0.0, 0.0, 30.0, 29.0),), box_labels=("cut",), rationale=rationale)


def borrowed(builder: PromptBuilder, lenders: Sequence[Sample], repair: Repair, seed: int = 0) -> list[str]:
    return asyncio.run(BorrowedTexts(lenders, builder).write([repair], seed))[0]


def test_texts_are_borrowed_from_samples_of_the_category_of_which_the_hint_is_true(
    builder: PromptBuilder, sample: Sample, tmp_path: Path
):
    lenders = [
        lender(tmp_path, "normal", Target(label="normal", rationale="Even.")),
        lender(tmp_path, "silent", defective("")),
        lender(tmp_path, "wood", defective("A hole in wood."), category="wood"),
        lender(tmp_path, "cut", defective("A cut.")),
    ]
    # 60 x 58 pixels in the file, 56 x 56 as the model sees it.
    seen = replace(defective("A cut."), boxes=((0.0, 0.0, 28.0, 28.0),))
    assert borrowed(builder, lenders, repair(builder, sample)) == [answer_text(seen)]
    elsewhere = borrowed(builder, lenders[:3], repair(builder, sample))
    assert len(elsewhere) == 1 and "A hole in wood." in elsewhere[0]
    assert borrowed(builder, lenders[:2], repair(builder, sample)) == []


def test_an_option_is_borrowed_where_it_stands_at_the_same_letter(
    builder: PromptBuilder, sample: Sample, tmp_path: Path
):
    def choice(option: str, **options: str) -> Target:
        return Target(label="defective", option=option, options=options, rationale=f"It is {option}.")

    asked = replace(sample, task=Task.choice, target=choice("A", A="hole", B="cut"))
    lenders = [
        lender(tmp_path, "one", choice("B", A="cut", B="hole"), task=Task.choice),
        lender(tmp_path, "two", choice("A", A="cut", B="hole"), task=Task.choice),
        lender(tmp_path, "three", choice("B", A="hole", B="cut"), task=Task.choice),
    ]
    assert borrowed(builder, lenders, repair(builder, asked, "B")) == ["<think>It is B.</think><answer>B</answer>"]


def test_what_is_borrowed_depends_on_the_seed_and_the_sample_alone(
    builder: PromptBuilder, sample: Sample, tmp_path: Path
):
    lenders = [lender(tmp_path, f"cut{number}", defective(f"Cut {number}.")) for number in range(12)]
    found = {seed: borrowed(builder, lenders, repair(builder, sample), seed) for seed in range(6)}
    assert found == {seed: borrowed(builder, lenders, repair(builder, sample), seed) for seed in range(6)}
    assert all(len(set(texts)) == 2 for texts in found.values()) and len(set(map(tuple, found.values()))) > 3

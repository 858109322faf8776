"""A sample becomes the prompt that the model's own processor would make, or one sentence."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
from PIL import Image
from transformers import AutoProcessor

from rl.data.config import DataConfig, Instructions
from rl.data.instructions import MMR_AD
from rl.data.prompts import PromptBuilder, answer_text, check_looks, check_prompts
from rl.types import Sample, Target, Task

SHORT = DataConfig(instructions=Instructions.none)


def picture(folder: Path, width: int, height: int, mode: str = "RGB") -> Path:
    noise = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = folder / f"{mode}_{width}x{height}.png"
    Image.fromarray(noise).convert(mode).save(path)
    return path


def sample(*images: Path, target: Target | None = None, question: str = "Fine?") -> Sample:
    truth = target or Target(label="normal")
    return Sample(id="nut/test/good/000", images=images, question=question, target=truth, category="nut")


def test_tokens_and_pixels_are_those_of_the_models_own_processor(tiny_model, tmp_path):
    paths = picture(tmp_path, 112, 84), picture(tmp_path, 60, 140)
    prompt = PromptBuilder(str(tiny_model), SHORT).build(sample(*paths))
    processor = AutoProcessor.from_pretrained(tiny_model)
    content = [{"type": "image"}, {"type": "image"}, {"type": "text", "text": "Fine?"}]
    chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    limits = {"size": {"shortest_edge": SHORT.min_pixels, "longest_edge": SHORT.max_pixels}}
    images = [Image.open(path) for path in paths]
    wanted = processor(text=[chat], images=images, images_kwargs=limits, return_tensors="np")
    assert list(prompt.token_ids) == wanted["input_ids"][0].tolist()
    np.testing.assert_array_equal(prompt.pixels.values, wanted["pixel_values"])
    assert [list(grid) for grid in prompt.pixels.grid] == wanted["image_grid_thw"].tolist()
    assert prompt.pixels.values.dtype == np.float32


def test_spans_cover_the_placeholders_of_each_image(tiny_model, tmp_path):
    paths = picture(tmp_path, 112, 84), picture(tmp_path, 56, 140)
    prompt = PromptBuilder(str(tiny_model), SHORT).build(sample(*paths))
    pad = AutoProcessor.from_pretrained(tiny_model).image_token_id
    assert [end - start for start, end in prompt.image_spans] == [4 * 3, 2 * 5]
    places = {place for start, end in prompt.image_spans for place in range(start, end)}
    assert places == {place for place, token in enumerate(prompt.token_ids) if token == pad}
    assert prompt.image_size == (56, 140)


def test_target_boxes_move_with_the_inspected_image(tiny_model, tmp_path):
    target = Target(label="defective", boxes=((0, 0, 60, 30), (30, 15, 45, 20)), box_labels=("dent", "dent"))
    paths = picture(tmp_path, 112, 112), picture(tmp_path, 60, 30)
    prompt = PromptBuilder(str(tiny_model), SHORT).build(sample(*paths, target=target))
    width, height = prompt.image_size
    assert width % 28 == height % 28 == 0 and (width, height) != (60, 30)
    assert prompt.target.boxes[0] == (0, 0, width, height)
    assert prompt.target.boxes[1] == pytest.approx((width / 2, height / 2, width * 3 / 4, height * 2 / 3))
    assert prompt.target.box_labels == target.box_labels and prompt.sample.target == target


def test_a_text_only_sample_has_no_pixels(tiny_model):
    prompt = PromptBuilder(str(tiny_model), SHORT).build(sample())
    assert (prompt.pixels, prompt.image_spans, prompt.image_size) == (None, (), (0, 0))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "I;16"])
def test_images_of_other_colour_models_are_read(tiny_model, tmp_path, mode):
    if mode == "I;16":
        path = tmp_path / "deep.png"
        Image.fromarray(np.full((56, 56), 40_000, np.uint16)).save(path)
    else:
        path = picture(tmp_path, 56, 56, mode)
    prompt = PromptBuilder(str(tiny_model), SHORT).build(sample(path))
    assert prompt.pixels.values.shape == (16, 1176)
    assert np.isfinite(prompt.pixels.values).all()


def test_a_real_model_is_told_the_form_in_mmr_ads_words(tiny_model):
    text = PromptBuilder(str(tiny_model), DataConfig()).chat(sample(Path("a.png"), Path("b.png")))
    assert text.startswith(f"<|im_start|>system\n{MMR_AD.system}<|im_end|>")
    assert text.count("<|image_pad|>") == 2 and "hint" not in text and "red box" not in text
    assert "<think>reasoning and analysis process here</think><answer>Yes or No. If Yes" in text
    assert text.endswith("<|im_start|>assistant\n")


ASKED_FOR = {
    Task.yes_no: ("answer Yes or No within <answer></answer>",),
    Task.boxes: ("{'bbox_2d': [x1, y1, x2, y2], 'label': '<anomaly type>'}",),
    Task.choice: ("asks a choice question", "<think></think> tags followed by a single letter answer in <answer>"),
    Task.routed: ("pieces of expert knowledge", "within <knowledge></knowledge>", "single letter answer in <answer>"),
    Task.grid: ("16x16 grid", "(row, col_start)-(row, col_end)", "<seg></seg>", "single letter answer"),
    Task.grounding: ("JSON format", '[{"bbox_2d": [x1, y1, x2, y2], "label": "<defect type>"}]'),
}


@pytest.mark.parametrize("task", Task)
def test_a_real_model_is_told_the_form_of_its_task(tiny_model, task):
    asked = replace(sample(Path("a.png")), task=task)
    text = PromptBuilder(str(tiny_model), DataConfig()).chat(asked)
    assert all(words in text for words in ASKED_FOR[task])
    assert text.count("<|im_start|>system\n") == 1 and "Fine?\n" in text


def test_a_model_that_knows_the_form_is_told_the_question_only(tiny_model):
    builder = PromptBuilder(str(tiny_model), SHORT)
    assert len({builder.chat(replace(sample(), task=task)) for task in Task}) == 1
    assert builder.chat(sample()) == "<|im_start|>user\nFine?<|im_end|>\n<|im_start|>assistant\n"


def test_each_task_counts_with_its_own_words(tiny_model, tmp_path):
    builder, path = PromptBuilder(str(tiny_model), DataConfig()), picture(tmp_path, 56, 56)
    asked = [replace(sample(path), task=task) for task in (Task.yes_no, Task.boxes)]
    longest = max(len(builder.build(one).token_ids) for one in asked)
    with pytest.raises(ValueError, match=f"its prompt has {longest} tokens"):
        check_prompts(asked, builder, longest - 1, 1)


def test_the_number_of_tokens_is_known_without_making_the_prompt(tiny_model, tmp_path):
    builder = PromptBuilder(str(tiny_model), DataConfig(max_pixels=10_000))
    for sizes in ([], [(112, 84)], [(200, 50), (13, 300)]):
        asked = sample(*(picture(tmp_path, *size) for size in sizes))
        length = len(builder.build(asked).token_ids)
        check_prompts([asked], builder, length, 2)
        with pytest.raises(ValueError, match=f"its prompt has {length} tokens"):
            check_prompts([asked], builder, length - 1, 2)


def test_a_prompt_beyond_the_limit_is_refused_by_name(tiny_model, tmp_path):
    builder, path = PromptBuilder(str(tiny_model), SHORT), picture(tmp_path, 560, 560)
    check_prompts([sample(path)], builder, 500, 1)
    with pytest.raises(ValueError, match=r"nut/test/good/000: with .*560x560.png its prompt has 4\d\d tokens"):
        check_prompts([sample(path)], builder, 400, 1)


def test_more_images_than_the_engine_takes_are_refused_by_name(tiny_model, tmp_path):
    builder, path = PromptBuilder(str(tiny_model), SHORT), picture(tmp_path, 56, 56)
    check_prompts([sample(path, path)], builder, 500, 2)
    with pytest.raises(ValueError) as raised:
        check_prompts([sample(path), sample(path, path)], builder, 500, 1)
    said = "sample nut/test/good/000 has 2 images, more than rollout.max_images=1; raise rollout.max_images"
    assert str(raised.value) == said


def test_each_question_counts_with_its_own_words(tiny_model, tmp_path):
    builder, path = PromptBuilder(str(tiny_model), SHORT), picture(tmp_path, 56, 56)
    asked = [sample(path), sample(path, question="Fine? Look at it from every side."), sample(path)]
    longest = max(len(builder.build(one).token_ids) for one in asked)
    check_prompts(asked, builder, longest, 1)
    with pytest.raises(ValueError, match=f"its prompt has {longest} tokens"):
        check_prompts(asked, builder, longest - 1, 1)


def test_an_image_much_longer_than_high_is_refused_by_name(tiny_model, tmp_path):
    path = picture(tmp_path, 500, 2)
    with pytest.raises(ValueError, match="500x2.png: the image is 500x2 .*; cut it"):
        check_prompts([sample(path)], PromptBuilder(str(tiny_model), SHORT), 500, 1)


def test_a_question_that_holds_a_placeholder_is_refused(tiny_model, tmp_path):
    builder = PromptBuilder(str(tiny_model), SHORT)
    asked = sample(picture(tmp_path, 56, 56), question="What is <|image_pad|>?")
    with pytest.raises(ValueError, match="sample nut/test/good/000: its text holds image tokens of its own"):
        builder.build(asked)


def test_a_file_that_vanished_or_broke_is_named(tiny_model, tmp_path):
    builder, path = PromptBuilder(str(tiny_model), SHORT), picture(tmp_path, 56, 56)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match=f"{path}: the image is damaged"):
        builder.build(sample(path))
    path.unlink()
    with pytest.raises(ValueError, match=f"{path}: the image is missing"):
        builder.build(sample(path))


def without(*files: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        for file in files:
            (folder / file).unlink()

    return change


def holding(file: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / file).write_text(text)

    return change


def without_image_token(folder: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        path = folder / file
        path.write_text(path.read_text().replace("<|image_pad|>", "<|other_pad|>"))


NO_PROMPTS = {
    "no image processor": (without("processor_config.json"), holding("processor_config.json", "{oops")),
    "no tokenizer with words and": (
        without("tokenizer.json"),
        without("tokenizer.json", "tokenizer_config.json"),
        without_image_token,
    ),
    "no tokenizer loads": (
        holding("tokenizer.json", "[]"),
        holding("tokenizer_config.json", "[]"),
        holding("config.json", "{oops"),
    ),
    "no chat template": (
        without("chat_template.jinja"),
        holding("chat_template.jinja", "{% if %}"),
        holding("chat_template.jinja", "Answer:"),
    ),
}


@pytest.mark.parametrize(("what", "damage"), [(what, damage) for what in NO_PROMPTS for damage in NO_PROMPTS[what]])
def test_a_model_folder_that_makes_no_prompts_is_refused_by_name(tiny_model, tmp_path, what, damage):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    damage(folder)
    with pytest.raises(ValueError) as raised:
        PromptBuilder(str(folder), SHORT)
    assert str(raised.value).startswith(f"{folder}: {what}") and str(raised.value).endswith("from the base model")
    assert "\n" not in str(raised.value)


def test_an_answer_is_written_in_the_form_that_is_asked_for():
    normal = Target(label="normal", rationale="No difference.")
    assert answer_text(normal) == "<think>No difference.</think><answer>No.</answer>"
    one = Target(label="defective", boxes=((1.2, 2, 30.6, 4),), box_labels=("dent",), rationale="A dent.")
    said = "<think>A dent.</think><answer>Yes. {'bbox_2d': [1, 2, 31, 4], 'label': 'dent'}"
    assert answer_text(one) == f"{said}</answer>"
    two = replace(one, boxes=(*one.boxes, (5, 6, 7, 8)), box_labels=("dent", "hole"))
    assert answer_text(two) == f"{said}, {{'bbox_2d': [5, 6, 7, 8], 'label': 'hole'}}</answer>"


DENT = Target(
    label="defective",
    boxes=((1.2, 2, 30.6, 4), (5, 6, 7, 8)),
    box_labels=("dent", "hole"),
    rationale="A dent.",
    option="B",
    options={"A": "hole", "B": "dent"},
    cells=frozenset({(3, 8), (3, 7), (4, 0)}),
    knowledge="A dent is 0.5 mm deep. It shines.",
    offered=("Dent", "Hole"),
)
RIGHT = {
    Task.yes_no: "<think>A dent.</think><answer>Yes.</answer>",
    Task.choice: "<think>A dent.</think><answer>B</answer>",
    Task.routed: "<knowledge>Dent: A dent is 0.5 mm deep.</knowledge><think>A dent.</think><answer>B</answer>",
    Task.grid: "<seg>(3,7)-(3,8), (4,0)</seg><think>A dent.</think><answer>B</answer>",
    Task.grounding: "<think>A dent.</think><answer>"
    '[{"bbox_2d": [1, 2, 31, 4], "label": "dent"}, {"bbox_2d": [5, 6, 7, 8], "label": "hole"}]</answer>',
}


@pytest.mark.parametrize("task", RIGHT)
def test_the_right_answer_has_the_form_of_its_task(task):
    assert answer_text(DENT, task) == RIGHT[task]


def test_the_right_answer_of_a_normal_image_finds_nothing():
    normal = Target(label="normal", rationale="Even.", option="A", cells=frozenset())
    assert answer_text(normal, Task.grid) == "<seg></seg><think>Even.</think><answer>A</answer>"
    assert answer_text(normal, Task.yes_no) == "<think>Even.</think><answer>No.</answer>"
    assert answer_text(normal, Task.grounding) == "<think>Even.</think><answer>[]</answer>"


def test_a_defect_of_which_nobody_knows_the_place_is_still_there():
    assert answer_text(Target(label="defective")) == "<think></think><answer>Yes.</answer>"


def test_what_the_truth_lacks_is_not_made_up():
    with pytest.raises(ValueError, match="without an option .* data.task=choice"):
        answer_text(replace(DENT, option=""), Task.choice)
    with pytest.raises(ValueError, match="without cells .* a mask or boxes"):
        answer_text(replace(DENT, cells=None), Task.grid)
    with pytest.raises(ValueError, match="without offered knowledge .* data.knowledge.file"):
        answer_text(replace(DENT, offered=()), Task.routed)
    named = answer_text(replace(DENT, knowledge=""), Task.routed)
    assert named == "<knowledge>Dent</knowledge><think>A dent.</think><answer>B</answer>"


def test_a_sample_without_an_image_or_an_anomaly_word_is_refused_where_looks_are_wanted(tiny_model, tmp_path):
    builder, path = PromptBuilder(str(tiny_model), SHORT), picture(tmp_path, 56, 56)
    check_looks([sample(path, question="Any Defects?")], builder, SHORT.anomaly_words, read=True)
    with pytest.raises(ValueError, match=r"sample nut/test/good/000: its prompt holds none of data.anomaly_words=\["):
        check_looks([sample(path, question="Defective?")], builder, SHORT.anomaly_words, read=True)
    check_looks([sample(path, question="Defective?")], builder, SHORT.anomaly_words, read=False)
    with pytest.raises(ValueError, match="sample nut/test/good/000 has no image to look at"):
        check_looks([sample()], builder, SHORT.anomaly_words, read=False)


def test_the_tokens_of_anomaly_words_are_found_in_any_case_and_as_whole_words(tiny_model, tmp_path):
    builder = PromptBuilder(str(tiny_model), SHORT)
    prompt = builder.build(sample(picture(tmp_path, 56, 56), question="Any DEFECT? Undefective. Abnormal?"))
    told = AutoProcessor.from_pretrained(tiny_model).tokenizer.decode(
        [prompt.token_ids[i] for i in prompt.anomaly_tokens]
    )
    assert told == "DEFECTAbnormal"

"""`assay predict` without actors: mistakes cost a sentence, every photo becomes a sample, answers become files."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path

import rl.import_fixes  # noqa: F401

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from actors.config import ModelConfig, Precision
from builders.locked_folders import place
from conf.schema import PredictConfig
from launch.__main__ import assay
from launch.command.arguments import in_full
from launch.command.composing import open_composer
from launch.predict.album import Album, Drawing
from launch.predict.run import Inspection, check_free, read_work, title_of, warn_of_reference
from launch.run.ending import End, Ending
from launch.run.progress import ImageProgress
from rl.brake import Brake
from rl.data.config import DataConfig, Instructions
from rl.timing import Timings
from rl.types import Completion, Group, Look, Maps, Task
from rollout.config import LocalizeConfig, Selection

STARTER = str(Path(__file__).parents[3] / "models/starter")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, name in enumerate(["in/good/1.png", "in/hole/2.png", "normal/1.png", "normal/2.png"]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (112, 84), (40 * number, 90, 20)).save(tmp_path / name)
    return tmp_path


def config(photos: Path, **options) -> PredictConfig:
    plain = PredictConfig(
        input=str(photos / "in"),
        reference=str(photos / "normal"),
        output=str(photos / "run"),
        model=ModelConfig(path=STARTER, precision=Precision.fp32),
        data=DataConfig(instructions=Instructions.none),
    )
    return replace(plain, **options)


MISTAKES = {
    "": "give model=MODEL and input=FOLDER, e.g. assay predict model=starter input=",
    "input=in": "give model=MODEL, e.g. assay predict model=starter input=",
    "input=in model=./nowhere": "model.path: './nowhere' is neither a folder nor a hub id such as owner/name",
    "input=nowhere model=starter": "input: there is no folder or file '",
    "input=in model=starter": "data.task=boxes asks 'Are there any defects in the second image?'; give the normal "
    "images to compare with, reference=FOLDER, or a data.question of your own, or take a model that needs none",
    "input=in model=qwen2_5_vl_3b data.task=boxes": "data.task=boxes asks 'Are there any defects in the second "
    "image?'; give the normal images to compare with, reference=FOLDER, or a data.question of your own",
    "input=in model=starter data.task=choice": "data.task=choice asks for no verdict; choose data.task=boxes or",
    "input=in model=starter reference=normal heat_top=1": "heat_top must be > 1; got 1.0",
    "input=in model=starter reference=normal batch=0": "batch must be ≥ 1; got 0",
    "input=in model=starter reference=normal output=": "output is empty; give the run folder",
    "input=in model=starter reference=normal data.min_pixels=9 data.max_pixels=8": "data.min_pixels must be ≤",
    "input=in model=starter reference=normal cluster.num_rollout_workers=999": "cluster: the run needs 1 × reference",
    "input=in modle=starter": "modle is not a key; did you mean model?",
}


@pytest.mark.slow
@pytest.mark.parametrize("typed", MISTAKES)
def test_a_mistake_costs_one_line_and_exit_code_2(typed, photos, monkeypatch, capsys):
    # No chdir here: groups name folders relative to the repository's root.
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    words = [word.replace("=in", f"={photos / 'in'}").replace("=normal", f"={photos}/normal") for word in typed.split()]
    assert assay(["predict", *words]) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"assay predict: {MISTAKES[typed]}") and (out, err.count("\n")) == ("", 1)


FAULTS = {
    "input=PHOTOS/empty": "holds no image (.png, .jpg",
    "reference=PHOTOS/few": "has no image of the same name for 1 of 2 images",
    "masks=PHOTOS/few data.question=Well?": "its prompt holds none of data.anomaly_words=[defect,defects,anomaly,",
    "masks=PHOTOS/none": "masks: there is no folder",
    "rollout.max_prompt_tokens=20": "its prompt has 45 tokens, more than rollout.max_prompt_tokens=20",
    "rollout.max_images=1": "has 2 images, more than rollout.max_images=1",
    "output=PHOTOS/old": "holds predictions; give another folder",
    "output=PHOTOS/in": "holds something else (good); give another folder",
    "model.path=PHOTOS/empty": "neither a model folder with a config.json nor a hub id",
}


@pytest.mark.slow
@pytest.mark.parametrize("typed", FAULTS)
def test_wrong_input_is_one_sentence_before_any_actor_starts(typed, photos, capsys):
    (photos / "empty").mkdir()
    (photos / "few").mkdir()
    (photos / "few/1.png").write_bytes((photos / "normal/1.png").read_bytes())
    (photos / "old").mkdir()
    (photos / "old/predictions.jsonl").write_text("{}\n")
    given = [f"input={photos / 'in'}", f"reference={photos / 'normal'}", f"output={photos / 'run'}"]
    typed_names = {word.partition("=")[0] for word in typed.split()}
    words = [word for word in given if word.partition("=")[0] not in typed_names] + typed.split()
    words += [] if "model.path" in typed else [f"model={STARTER}"]
    assert assay(["predict", *(word.replace("PHOTOS", str(photos)) for word in words), "data=demo"]) == 2
    (sentence,) = capsys.readouterr().err.strip().splitlines()
    assert FAULTS[typed] in sentence
    assert not (photos / "run").exists()


def test_every_photo_becomes_a_sample_with_its_reference(photos):
    work = read_work(config(photos))
    assert [sample.id for sample in work.samples] == ["good/1", "hole/2"]
    first = work.samples[0]
    assert first.images == (photos / "normal/1.png", photos / "in/good/1.png")
    assert (first.task, first.target.label, first.category) == (Task.boxes, "", "good")
    assert first.question == "Are there any defects in the second image?" and work.damaged == []


def test_damaged_photos_are_set_aside_with_a_sentence_each(photos):
    (photos / "in/cut.png").write_bytes((photos / "in/good/1.png").read_bytes()[:80])
    (photos / "in/text.jpg").write_text("no image")
    Image.new("RGB", (2000, 4)).save(photos / "in/thin.png")
    work = read_work(config(photos, reference=str(photos / "normal/1.png")))
    assert [sample.id for sample in work.samples] == ["good/1", "hole/2"]
    sentences = {photo.id: sentence for photo, sentence in work.damaged}
    assert sentences.keys() == {"cut", "text", "thin"}
    assert all(str(photos / "in") in sentence for sentence in sentences.values())
    assert "the image is damaged" in sentences["cut"] and "the image is 2000x4" in sentences["thin"]


def test_only_damaged_photos_are_refused(photos):
    (photos / "normal/1.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"none of the 2 images can be inspected; the first: .*normal/1\.png"):
        read_work(config(photos, reference=str(photos / "normal/1.png")))


def test_a_damaged_mask_is_refused_before_anything_starts(photos):
    (photos / "masks").mkdir()
    (photos / "masks/2.png").write_text("no image")
    with pytest.raises(ValueError, match=r"masks/2\.png: the image is damaged"):
        read_work(config(photos, masks=str(photos / "masks")))


def test_a_mask_of_another_size_is_refused_before_anything_starts(photos):
    (photos / "masks").mkdir()
    Image.new("L", (84, 112)).save(photos / "masks/2.png")
    with pytest.raises(ValueError, match=r"masks/2\.png: the mask is 84x112 and its image 112x84; redraw it"):
        read_work(config(photos, masks=str(photos / "masks")))


def test_a_folder_without_predictions_may_be_used_again(tmp_path):
    check_free(tmp_path / "new")
    for name in (".lock", "config.yaml", "summary.json", "predictions.html", "crash.txt"):
        (tmp_path / name).touch()
    check_free(tmp_path)
    (tmp_path / "metrics.jsonl").touch()
    with pytest.raises(ValueError, match=r"holds something else \(metrics\.jsonl\); give another folder"):
        check_free(tmp_path)


def test_anomaly_words_are_required_only_if_they_select(photos):
    asked = config(photos, data=DataConfig(instructions=Instructions.none, question="Is it broken?"))
    read_work(replace(asked, localize=LocalizeConfig(selection=Selection.all)))
    with pytest.raises(ValueError, match="add one of its words to them"):
        read_work(asked)
    read_work(replace(asked, data=replace(asked.data, anomaly_words=["broken"])))


NAMES = ["my photo (1).png", "Anna's {a=b} [2].png", "é#&.png"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_may_have_any_name(name, photos, capsys):
    (photos / name).write_bytes((photos / "normal/1.png").read_bytes())
    words = ["model=starter", f"output={photos}/run {name}", f"masks={photos}/{name}", f"reference={photos}/{name}"]
    assert assay(["predict", *words, f"input={photos}/{name}"]) == 2
    # Each name was read unchanged: only the masks are refused, as no folder.
    assert capsys.readouterr().err == (
        f"assay predict: masks: there is no folder '{photos}/{name}'; give that of the masks, or leave masks out\n"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_models_folder_may_have_any_name(name, photos, monkeypatch):
    monkeypatch.chdir(photos)
    (photos / name).mkdir()
    (photos / name / "config.json").write_text('{"dtype": "float32"}')
    for path in (name, str(photos / name)):
        with open_composer("predict", PredictConfig, []) as composer:
            found = composer.compose(in_full([f"model={path}"], composer.choices, (), ()))
        assert (found.model.path, found.model.precision) == (path, Precision.fp32)


def test_a_value_that_hydra_cannot_read_must_be_quoted(capsys):
    assert assay(["predict", "batch=(1"]) == 2
    assert capsys.readouterr().err == "assay predict: cannot read 'batch=(1'; put its value in quotes, \"batch='…'\"\n"


def test_a_models_broken_config_is_one_sentence(photos, capsys):
    (photos / "model").mkdir()
    (photos / "model/config.json").write_text("{")
    assert assay(["predict", f"input={photos}/in", f"model={photos}/model"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"assay predict: {photos}/model/config.json: line 1 is not JSON (") and err.count("\n") == 1


def looked_at(work, index: int, text: str, weight: float) -> Group:
    """Make the group that actors would return: an answer and, if `weight` is above 0, a look at the top left."""
    sample = work.samples[index]
    prompt = replace(work.builder.build(sample), pixels=None)
    tokens = work.builder.encode_answer(text)
    heat = np.zeros((3, 4), np.float32)
    heat[0, 0] = weight / 12
    look = Look(
        relevance=(0.0,) * len(tokens),
        entropy=(0.0,) * len(tokens),
        weights=(weight, *[0.0] * (len(tokens) - 1)),
        top=(0,),
        supports=np.zeros((1, 2), np.uint8),
        shape=(3, 4),
        agreement=0.5,
        maps=Maps(rdam=heat, every=heat),
    )
    answer = Completion(
        token_ids=tokens, text=text, logprobs=(0.0,) * len(tokens), finish_reason="stop", policy_version=0
    )
    return Group(prompt=prompt, completions=(answer,), old_logprobs=((0.0,) * len(tokens),), looks=(look,))


def test_an_album_writes_lines_and_pictures_in_pixels_of_the_file(photos, tmp_path):
    (photos / "masks/hole").mkdir(parents=True)
    mask = np.zeros((84, 112), np.uint8)
    mask[:28, :28] = 255
    Image.fromarray(mask).save(photos / "masks/hole/2_mask.png")
    asked = config(photos, masks=str(photos / "masks"), data=DataConfig(instructions=Instructions.none, square=56))
    work = read_work(asked)
    run = tmp_path / "run"
    run.mkdir()
    album = Album(run, Drawing(heat_top=4.0, resize="nearest"), work.builder, work.photos, work.truth)
    yes = "<think>A hole.</think><answer>Yes. {'bbox_2d': [0, 14, 28, 28], 'label': 'hole'}</answer>"
    album.add([looked_at(work, 0, "Hm.", weight=0.0), looked_at(work, 1, yes, weight=0.5)])

    first, second = map(json.loads, (run / "predictions.jsonl").read_text().splitlines())
    assert (first["verdict"], first["reasoning"], first["map"], first["p_yes"]) == (
        None,
        "Hm.",
        "maps/good/1.png",
        None,
    )
    assert (second["verdict"], second["reasoning"]) == ("defective", "A hole.")
    assert second["boxes"] == [[0.0, 21.0, 56.0, 42.0]] and second["map"] == "maps/hole/2.png"
    # Without a selected token the map has no colour.
    unmarked, photo = (np.asarray(Image.open(path)) for path in (run / "maps/good/1.png", photos / "in/good/1.png"))
    assert (unmarked == photo).all()
    drawn = np.asarray(Image.open(run / "maps/hole/2.png")).astype(int)
    plain = np.asarray(Image.open(photos / "in/hole/2.png")).astype(int)
    assert drawn.shape == plain.shape
    assert (drawn != plain)[:28, :28].any(2).all() and (drawn == plain)[28:, 28:].all()
    assert Image.open(run / "pictures/plain/good/1.jpg").size == (112, 84)
    assert album.counts() == {"unreadable": 1, "defective": 1}
    assert (first["truth"], second["truth"]) == ("normal", "defective")
    # The outline is a line of a pixel around the mask, transparent elsewhere; an image without a mask has none.
    assert not (run / "pictures/truth/good/1.png").exists()
    opaque = np.asarray(Image.open(run / "pictures/truth/hole/2.png"))[..., 3] > 0
    assert opaque.shape == (84, 112) and opaque.sum() == 28 + 29 and opaque[:29, 28].all() and opaque[28, :29].all()
    assert album.metrics()["pixel_auroc"] == 1.0


def ended(asked: PredictConfig, folder: Path, answer: str = "") -> dict:
    """End a run in which each image got this answer, if any, in 2.5 seconds; return its summary."""
    work, timings = read_work(asked), Timings()
    album = Album(folder, Drawing(heat_top=4.0, resize="nearest"), work.builder, work.photos, work.truth)
    if answer:
        album.add([looked_at(work, index, answer, weight=0.0) for index in range(len(work.samples))])
        timings.add("inspection", 2.5 * len(work.samples))
    run = Inspection(
        config=asked,
        place=place(folder),
        work=work,
        album=album,
        brake=Brake(),
        began=time.perf_counter(),
        timings=timings,
    )
    return run.record(End(ending=Ending.done, sentence=""))


def test_summary_and_page_have_measures_against_the_truth_and_the_time_an_image(photos, tmp_path):
    summary = ended(config(photos), tmp_path, "<think>Even.</think><answer>No</answer>")
    # The folders are good and hole: the verdict "normal" is right for the first and wrong for the second.
    assert summary.items() >= {"truth": "folders", "image_accuracy": 0.5, "image_auroc": 0.5}.items()
    assert summary["confusion"]["defective"] == {"defective": 0, "normal": 1, "unreadable": 0}
    assert (summary["inspection_seconds"], summary["seconds_per_image"]) == (5.0, 2.5)
    page = (tmp_path / "predictions.html").read_text()
    assert "images in good are free of defects, those in hole have one. It is known of 2 of the 2 images." in page
    assert "s, 5 s of it after the start-up</dd>" in page and "2.5 s on average, up to 64 answered at once</dd>" in page
    assert "Image accuracy</dt><dd>0.500" in page


def test_what_is_not_known_is_neither_in_the_summary_nor_on_the_page(photos, tmp_path):
    summary = ended(config(photos, input=str(photos / "in/hole")), tmp_path)
    assert not {"truth", "confusion", "image_accuracy", "seconds_per_image"} & summary.keys()
    page = (tmp_path / "predictions.html").read_text()
    assert "Against the truth" not in page and "Time an image" not in page


def test_an_empty_mask_means_free_of_defects(photos):
    (photos / "masks/hole").mkdir(parents=True)
    Image.new("L", (112, 84)).save(photos / "masks/hole/2.png")
    work = read_work(config(photos, masks=str(photos / "masks")))
    assert work.truth.labels == {"good/1": "normal", "hole/2": "normal"}


def test_the_page_is_called_by_model_and_images(photos, monkeypatch):
    monkeypatch.chdir(photos)
    named = config(photos, model=ModelConfig(path=str(photos / "models/mine")))
    assert title_of(named) == "models/mine on in"
    assert title_of(replace(named, input="normal/1.png")) == "models/mine on 1.png"
    assert title_of(replace(named, input="normal/1.png,normal/2.png")) == "models/mine on images"
    assert title_of(replace(named, model=ModelConfig(path="Qwen/Some-VL"))) == "Qwen/Some-VL on in"
    assert title_of(replace(named, model=ModelConfig(path="/elsewhere/mine"))) == "/elsewhere/mine on in"
    of_run = ModelConfig(path=str(photos / "runs/mine/checkpoints/step_4/hf"))
    assert title_of(replace(named, model=of_run)) == "runs/mine/checkpoints/step_4 on in"


def test_progress_without_a_terminal_is_about_twenty_lines():
    out = io.StringIO()
    progress = ImageProgress(400, Console(file=out))
    for done in range(4, 401, 4):
        progress.show(done, {"normal": done})
    progress.stop()
    lines = out.getvalue().splitlines()
    assert lines[-1] == "400/400 images · 400 normal" and 15 <= len(lines) <= 22


@pytest.mark.parametrize(
    ("model", "reference", "warning"),
    [
        ("starter", "", "was trained to compare with a normal image; give one, reference=…"),
        ("starter_yes_no", "good.png", "was trained on one image alone; leave reference=good.png out"),
        ("starter", "good.png", ""),
        ("starter_yes_no", "", ""),
    ],
)
def test_a_reference_that_the_training_lacked_or_had_is_warned_of(model, reference, warning, capsys):
    warn_of_reference(PredictConfig(model=ModelConfig(path=f"{STARTER}/../{model}"), reference=reference))
    assert warning in capsys.readouterr().out if warning else capsys.readouterr().out == ""

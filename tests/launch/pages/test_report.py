import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from builders.groups_with_looks import look, looked
from builders.scored_groups import NO, YES, completion, group, score
from launch.pages.gallery import Case, draw_case, shelves
from launch.pages.provenance import Provenance
from launch.pages.report import RunRecord, write_report
from rewards.answers.parse import parse_answer
from rl.evaluation.kept_maps import maps_file, write_maps
from rl.evaluation.metrics import Evaluation
from rl.types import Group, Score, Task

BOX = ((2.0, 2.0, 6.0, 6.0),)
MADE = Provenance(command="", folder="runs/1", versions={}, changed=[])
HOSTILE = "<think></blockquote><script>alert(1)</script><img src=x onerror=y></think><answer>No.</answer>"


class Page(HTMLParser):
    """Tags, attributes and words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def images(tmp_path: Path) -> tuple[Path, Path]:
    paths = (tmp_path / "reference.png", tmp_path / "part.png")
    for path in paths:
        Image.new("RGB", (40, 40), (90, 90, 90)).save(path)
    return paths


def answered(text: str, scored: tuple[float, float, float], number: int, **options) -> Group:
    return group([score(*scored)], [completion(text)], number=number, **options)


def evaluations(*groups: list[Group]) -> list[Evaluation]:
    """Make an evaluation of each list of groups, the first before training and each next one 20 steps later."""
    return [Evaluation(step=20 * number, groups=tuple(each)) for number, each in enumerate(groups)]


def record(**changes) -> RunRecord:
    rows = [
        {
            "step": step,
            "reward/mean": 1 + step / 10,
            "reward/box/mean": step / 20,
            "time/step": 2.0,
            "time/rollout": 1.0,
        }
        for step in range(20)
    ]
    values = {"title": "a <run>", "facts": {"Model": "tiny"}, "rows": rows, "summary": {"seconds": 75}}
    return RunRecord(**{**values, "reward_range": (0.0, 3.0), "provenance": MADE, **changes})


def page(folder: Path, **changes) -> Page:
    return Page(write_report(folder, record(**changes), parse_answer).read_text(encoding="utf-8"))


def test_a_page_has_title_facts_reward_and_evaluation_before_and_after(tmp_path: Path) -> None:
    before, after = answered(NO, (1, 0, 0), 1, boxes=BOX), answered(YES, (1, 1, 1), 1, boxes=BOX)
    shown = page(tmp_path, evaluations=evaluations([before], [after]))
    assert shown.open == []
    for words in ("a <run>", "tiny", "0:01:15", "1.45 →2.45", "0.00 →1.00", "Reward components", "Where the time goes"):
        assert words in shown.words


def test_a_page_loads_nothing_and_runs_nothing(tmp_path: Path, images: tuple[Path, Path]) -> None:
    shown = page(tmp_path, evaluations=evaluations([answered(HOSTILE, (1, 1, 1), 1, images=images)]))
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in shown.tags}
    sources = [attributes["src"] for _, attributes in shown.tags if "src" in attributes]
    assert len(sources) == 2
    assert all(source and source.startswith("data:image/jpeg;base64,") for source in sources)
    assert "<script>alert(1)</script>" in shown.words
    assert "default-src 'none'" in {attributes.get("content", "").split(";")[0] for _, attributes in shown.tags}


def test_a_page_survives_text_that_is_no_unicode(tmp_path: Path) -> None:
    broken = answered("<think>\ud800\x00</think><answer>No.</answer>", (1, 1, 1), 1)
    page(tmp_path, evaluations=evaluations([broken]))


def test_a_run_that_failed_at_once_still_has_a_page(tmp_path: Path) -> None:
    shown = page(tmp_path, rows=[], summary={}, failed="learner 1 died")
    assert "learner 1 died" in shown.words
    assert "No training step was recorded." in shown.words and "running mean" not in shown.words


def status(shown: Page) -> list[str | None]:
    return [attributes["class"] for tag, attributes in shown.tags if "status" in (attributes.get("class") or "")]


def test_a_run_that_was_stopped_did_not_fail(tmp_path: Path) -> None:
    stopped = page(tmp_path, stopped="stopped by Ctrl-C after step 7")
    assert status(stopped) == ["status warn"]
    assert "stopped by Ctrl-C after step 7" in stopped.words
    assert status(page(tmp_path, failed="learner 1 died")) == ["status bad"]
    assert status(page(tmp_path)) == ["status"]


def test_the_heading_is_the_title_with_what_was_typed_in_small_letters(tmp_path: Path) -> None:
    write_report(tmp_path, record(title="demo", overrides=["seed=1", "algo.lr=<1>"], stage="sft"), parse_answer)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<title>demo seed=1 algo.lr=&lt;1&gt; / sft · Assay</title>" in text
    assert "<h1>demo <small>seed=1 algo.lr=&lt;1&gt;</small> / sft</h1>" in text


def test_a_long_path_among_the_facts_may_break_after_its_slashes(tmp_path: Path) -> None:
    write_report(tmp_path, record(facts={"Data": "/data/parts: 9 samples"}), parse_answer)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<dd>/<wbr>data/<wbr>parts: 9 samples</dd>" in text


def test_a_run_that_goes_on_is_neither_finished_nor_failed(tmp_path: Path) -> None:
    shown = page(tmp_path, running="At step 6 of 12.")
    assert status(shown) == ["status busy"] and "running" in shown.words and "At step 6 of 12." in shown.words


def test_a_page_replaces_the_one_before_in_one_piece(tmp_path: Path) -> None:
    page(tmp_path)
    first = (tmp_path / "report.html").open(encoding="utf-8")
    page(tmp_path, rows=[])
    with first:
        assert first.read().endswith("</body></html>")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def rewarded(*rewards: float) -> list[dict[str, float]]:
    return [{"step": step, "reward/mean": reward} for step, reward in enumerate(rewards, start=1)]


def test_a_short_run_compares_its_first_half_with_its_last(tmp_path: Path) -> None:
    shown = page(tmp_path, rows=rewarded(0.3, 0.2, 0.5, 0.2, 0.1))
    assert "0.25 →0.15−0.10" in shown.words and "first and last 2 steps" in shown.words


def test_a_single_step_is_compared_with_nothing(tmp_path: Path) -> None:
    shown = page(tmp_path, rows=rewarded(0.3))
    assert "Reward0.30only step" in shown.words


def test_a_lone_evaluation_is_named_by_its_step(tmp_path: Path) -> None:
    asked = (answered(NO, (1, 1, 1), 1),)
    shown = page(tmp_path, evaluations=[Evaluation(step=12, groups=asked)])
    assert "Greedy answers after 12 steps to samples that training never saw." in shown.words
    assert "Held-out accuracy1.001 held-out samples, after 12 steps" in shown.words
    assert "Greedy answers before training" in page(tmp_path, evaluations=evaluations(list(asked))).words


def test_charts_in_which_nothing_happened_are_folded_away(tmp_path: Path) -> None:
    still = {"actor/kl": 0.0, "reward/unjudged": 0.0, "actor/entropy": 0.5}
    shown = page(tmp_path, rows=[{**row, **still} for row in rewarded(0.1, 0.2)])
    assert "Always 0: KL to the reference, Unjudged completions" in shown.words
    assert shown.words.index("Entropy") < shown.words.index("Always 0") < shown.words.index("KL to the reference")
    assert "Always 0" not in page(tmp_path).words


def test_a_page_tells_how_its_run_was_made(tmp_path: Path) -> None:
    made = Provenance(
        command="assay train seed=<1>",
        folder="runs/1",
        versions={"code": "0123456789ab, modified", "torch": "2.13.0"},
        changed=[("algo.lr", "1e-06", "3e-05"), ("model.path", "", "models/<starter>")],
    )
    shown = page(tmp_path, provenance=made)
    assert shown.open == []
    for words in ("assay train seed=<1>", "code0123456789ab, modified", "torch2.13.0", "Config: 2 keys differ"):
        assert words in shown.words
    assert "algo.lr1e-063e-05model.path–models/<starter>" in shown.words


def test_warnings_are_the_first_thing_on_the_page(tmp_path: Path) -> None:
    shown = page(tmp_path, warnings=["reward box has saturated", "no <b>contrast</b>"])
    assert shown.words.index("Warnings") < shown.words.index("no <b>contrast</b>") < shown.words.index("tiny")
    assert "Warnings" not in page(tmp_path).words


def test_the_correlation_of_rewards_is_a_table(tmp_path: Path) -> None:
    rows = [{"step": 1, "reward/a/mean": 0.5, "reward/b/mean": 0.5, "reward/correlation/a_b": 0.75, "reward/mean": 1.0}]
    shown = page(tmp_path, rows=rows)
    assert shown.open == []
    assert "Correlation of rewards" in shown.words and "0.75" in shown.words


def asked(task: Task, components: dict[str, float | None], text: str, images: tuple[Path, ...], **truth) -> Group:
    made = group([Score(total=1.0, components=components)], [completion(text)], images=images)
    target = replace(made.prompt.target, label="defective", **truth)
    prompt = replace(made.prompt, sample=replace(made.prompt.sample, task=task, target=target), target=target)
    return replace(made, prompt=replace(prompt, image_size=(160, 160)))


def test_a_card_of_a_choice_names_the_options(images: tuple[Path, Path]) -> None:
    said = "<think>Bent.</think><answer>C</answer>"
    drawn = draw_case(
        Case(after=asked(Task.choice, {"choice": 0.0}, said, images, option="B"), before=None), parse_answer
    )
    assert "✗ said C" in drawn and "is B" in drawn


def test_a_card_shows_the_chosen_knowledge_escaped(images: tuple[Path, Path]) -> None:
    said = "<knowledge>Cut: <b>thin</knowledge><think>Bent.</think><answer>B</answer>"
    after = asked(Task.routed, {"choice": 1.0, "knowledge": 1.0}, said, images, option="B")
    drawn = draw_case(Case(after=after, before=None), parse_answer)
    assert "✓ B" in drawn and "<blockquote><b>Cut: &lt;b&gt;thin</b><br>Bent.</blockquote>" in drawn


def test_a_card_of_a_grid_draws_its_cells(images: tuple[Path, Path]) -> None:
    said = "<seg>(0,1)</seg><think>Bent.</think><answer>B</answer>"
    after = asked(Task.grid, {"choice": 1.0}, said, images, option="B", cells=frozenset({(2, 1)}))
    drawn = draw_case(Case(after=after, before=None), parse_answer)
    assert '<rect class="true" x="10" y="20" width="10" height="10">' in drawn
    assert '<rect class="said" x="10" y="0" width="10" height="10">' in drawn
    assert "✓ B" in drawn


def test_a_card_without_a_judge_of_right_and_wrong_claims_neither(images: tuple[Path, Path]) -> None:
    group = asked(Task.boxes, {"iad_r1": 1.5}, YES, images)
    assert "said defective" in draw_case(Case(after=group, before=None), parse_answer)
    assert list(shelves([], [group])) == ["Unknown"]


def test_a_page_of_many_pictures_stays_small(tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    Image.effect_noise((2000, 1500), 60).convert("RGB").save(picture)
    groups = [answered(NO, (1, 1, 1), number, images=(picture, picture)) for number in range(30)]
    path = write_report(tmp_path, record(evaluations=evaluations(groups)), parse_answer)
    assert path.stat().st_size < 1_500_000


def test_a_card_draws_true_and_predicted_boxes_in_the_models_coordinates(images: tuple[Path, Path]) -> None:
    after = answered(YES.replace("[2, 2, 6, 6]", "[1, 2, 5, 6]"), (1, 1, 0.6), 1, boxes=BOX, images=images)
    drawn = draw_case(Case(after=after, before=None), parse_answer)
    assert 'viewBox="0 0 10 10"' in drawn
    assert '<rect class="true" x="2" y="2" width="4" height="4">' in drawn
    assert '<rect class="said" x="1" y="2" width="4" height="4">' in drawn
    assert "IoU 0.60" in drawn


def test_a_card_says_what_was_wrong_with_an_answer(images: tuple[Path, Path]) -> None:
    drawn = draw_case(Case(after=answered("Hm.", (0, 0, 0), 1, images=images), before=None), parse_answer)
    assert "✗ said no verdict" in drawn
    assert "&lt;answer&gt; occurs 0 times" in drawn


def test_pictures_are_embedded_whole(images: tuple[Path, Path]) -> None:
    drawn = draw_case(Case(after=answered(NO, (1, 1, 1), 1, images=images), before=None), parse_answer)
    encoded = re.findall(r"base64,([^\"]+)", drawn)
    assert [Image.open(io.BytesIO(base64.b64decode(text))).size for text in encoded] == [(40, 40), (40, 40)]


def sorted_in(before: list[Group], after: list[Group]) -> dict[str, list[str]]:
    """Return the last digits of the samples' ids by shelf."""
    return {name: [case.after.prompt.sample.id[-1] for case in cases] for name, cases in shelves(before, after).items()}


def test_a_right_answer_in_no_form_has_not_been_learned() -> None:
    before = [answered(NO, (1, 0, 0), number, boxes=BOX) for number in (1, 2)]
    after = [answered(YES, (form, 1, 0.8), number, boxes=BOX) for number, form in ((1, 0), (2, 1))]
    assert sorted_in(before, after) == {"Learned": ["2"], "Out of form": ["1"]}


def test_answers_are_shelved_by_their_outcome() -> None:
    before = [
        answered(NO, (1, 0, 0), 1, boxes=BOX),
        answered(YES, (1, 1, 0.9), 2, boxes=BOX),
        answered(NO, (1, 1, 1), 3),
        answered(NO, (1, 0, 0), 4, boxes=BOX),
        answered(NO, (1, 1, 1), 5),
    ]
    after = [
        answered(YES, (1, 1, 0.8), 1, boxes=BOX),
        answered(YES, (1, 1, 0.9), 2, boxes=BOX),
        answered(NO, (1, 1, 1), 3),
        answered(YES, (1, 1, 0.1), 4, boxes=BOX),
        answered(YES, (1, 0, 0), 5),
    ]
    found = sorted_in(before, after)
    assert found == {"Learned": ["1"], "Right place": ["2"], "Right": ["3"], "Wrong place": ["4"], "Wrong": ["5"]}


def test_first_cards_come_from_all_categories_with_defects_first() -> None:
    after = [answered(NO, (1, 0, 0), number, category=name) for number, name in enumerate("aaab")]
    after.append(answered(NO, (1, 0, 0), 4, category="c", boxes=BOX))
    (cases,) = shelves([], after).values()
    assert [case.after.prompt.sample.category for case in cases] == ["c", "a", "b", "a", "a"]


def test_where_it_looks_is_drawn_from_the_files_of_the_run(tmp_path: Path, images: tuple[Path, Path]) -> None:
    asked = [answered(NO, (1, 1, 1), number, images=images) for number in range(8)]
    rows = [
        {"step": step, "eval/heldout/samples": 8.0, "eval/heldout/pixel_auroc": 0.5 + step / 400} for step in (0, 100)
    ]
    without = page(tmp_path, rows=rows, evaluations=evaluations(asked, asked))
    assert "Where it looks" not in without.words
    for step in (0, 100):
        maps = [looked(each, look(step / 200, rdam=[[1.0, 0.0], [0.0, 0.0]])) for each in asked]
        write_maps(maps_file(tmp_path, step), maps)
    shown = page(tmp_path, rows=rows, evaluations=evaluations(asked, asked), deltas=(0.3, 0.1))
    assert shown.open == []
    assert shown.words.index("Training") < shown.words.index("Where it looks") < shown.words.index("Answers")
    for words in ("Before training", "After 100 steps", "J 0.50", "Held-out pixel AUROC0.50 →0.75"):
        assert words in shown.words
    sources = [attributes["src"] or "" for _, attributes in shown.tags if "src" in attributes]
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)


def test_a_page_of_many_maps_stays_small(tmp_path: Path) -> None:
    picture = tmp_path / "large.png"
    Image.effect_noise((2000, 1500), 60).convert("RGB").save(picture)
    asked = [answered(NO, (1, 1, 1), number, images=(picture,)) for number in range(8)]
    rows = [{"step": step, "eval/heldout/samples": 8.0} for step in range(10)]
    for step in range(10):
        write_maps(maps_file(tmp_path, step), [looked(each, look(rdam=[[1.0, 0.0]])) for each in asked])
    written = write_report(tmp_path, record(rows=rows, evaluations=evaluations(asked)), parse_answer)
    assert written.stat().st_size < 3_000_000


def test_a_summary_of_a_run_is_readable_as_the_last_line_of_a_command(tmp_path: Path) -> None:
    summary = json.loads(
        '{"steps": 60, "seconds": 612.4, "parity_mean": 8e-07, "overhead": 0.134, "heldout_after": {}}'
    )
    shown = page(tmp_path, summary=summary)
    for words in ("0:10:12", "8e-7", "13.4%"):
        assert words in shown.words

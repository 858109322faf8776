"""`assay predict` as a user types it, and its page in a real browser."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from builders.browser import Tab, browser, opened
from builders.small_runs import assay, start

pytestmark = pytest.mark.slow

LOADED = "Promise.all([...document.images].map(each => (each.loading = 'eager', each.decode()))).then(() => 'loaded')"
VISIBLE = "[...document.querySelectorAll('.case')].filter(card => card.offsetParent).length"
FIRST = (
    "[...document.querySelectorAll('.case')].sort((a, b) => a.getBoundingClientRect().top - "
    "b.getBoundingClientRect().top || a.getBoundingClientRect().left - b.getBoundingClientRect().left)[0]"
    ".querySelector('footer').textContent"
)


@dataclass(frozen=True, kw_only=True)
class Inspected:
    done: subprocess.CompletedProcess[str]
    folder: Path
    photos: Path
    summary: dict[str, Any]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "predictions.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def inspected(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Inspected:
    """Inspect sixteen photos and a damaged one, with masks."""
    photos, folder = tmp_path_factory.mktemp("photos") / "my photos (1)", tmp_path_factory.mktemp("run") / "one"
    shutil.copytree(demo_data / "leather/test", photos)
    whole = next(iter(sorted(photos.glob("scratch/*.png"))))
    (photos / "good/0000_cut.png").write_bytes(whole.read_bytes()[:400])
    shutil.copy(demo_data / "leather/train/good/0000.png", demo_data / "leather/train/good/0000_cut.png")
    try:
        done = assay(
            "predict",
            "model=starter",
            f"input={photos}",
            f"reference={demo_data}/leather/train/good",
            f"masks={demo_data}/leather/ground_truth",
            f"output={folder}",
            "batch=6",
        )
    finally:
        (demo_data / "leather/train/good/0000_cut.png").unlink()
    assert done.returncode == 1, done.stdout + done.stderr
    return Inspected(done=done, folder=folder, photos=photos, summary=json.loads(done.stdout.splitlines()[-1]))


def test_a_damaged_photo_is_named_counted_and_skipped(inspected: Inspected):
    (sentence,) = inspected.done.stderr.strip().splitlines()
    assert sentence.startswith(f"assay predict: {inspected.photos}/good/0000_cut.png: the image is damaged")
    (line,) = [line for line in inspected.lines if line["error"]]
    assert line["id"] == "good/0000_cut" and line["verdict"] is line["map"] is None
    assert (inspected.summary["images"], inspected.summary["corrupt"], inspected.summary["unreadable"]) == (17, 1, 0)
    assert inspected.summary["defective"] + inspected.summary["normal"] == 16


def test_every_other_photo_has_verdict_probability_map_and_reasoning(inspected: Inspected):
    found = [line for line in inspected.lines if not line["error"]]
    assert len({line["id"] for line in found}) == 16
    for line in found:
        assert (line["p_yes"] > 0.5) == (line["verdict"] == "defective")
        assert bool(line["boxes"]) == (line["verdict"] == "defective") and line["reasoning"]
        assert all(0 <= edge <= 112 for box in line["boxes"] for edge in box)
        assert Image.open(inspected.folder / line["map"]).size == (112, 112)
        assert all(0 <= start < end <= len(line["reasoning"]) for start, end, _ in line["marks"])


def test_the_starter_is_right_about_most_and_its_maps_mark_the_defects(inspected: Inspected):
    found = [line for line in inspected.lines if not line["error"]]
    assert all(line["truth"] == ("normal" if line["id"].startswith("good/") else "defective") for line in found)
    right = sum(line["truth"] == line["verdict"] for line in found)
    assert right >= 11
    summary = inspected.summary
    assert summary["pixel_auroc"] > 0.6 and summary["image_auroc"] > 0.6
    assert (summary["truth"], summary["image_accuracy"]) == ("masks", pytest.approx(right / 16, abs=1e-4))
    assert sum(summary["confusion"][label][label] for label in ("defective", "normal")) == right


def test_the_time_an_image_leaves_out_the_start_up(inspected: Inspected):
    summary = inspected.summary
    assert 0 < summary["inspection_seconds"] < summary["seconds"]
    assert summary["seconds_per_image"] == pytest.approx(summary["inspection_seconds"] / 16, rel=0.02)


@pytest.fixture(scope="module")
def tab(inspected: Inspected) -> Iterator[Tab]:
    if not browser():
        pytest.skip("no chromium or google-chrome is installed to open the page")
    with opened(inspected.folder / "predictions.html") as tab:
        yield tab


def test_the_page_shows_all_its_pictures_and_the_browser_logs_no_error(tab: Tab, inspected: Inspected, tmp_path: Path):
    assert tab.evaluate(LOADED) == "loaded"
    with_defect = sum(line["truth"] == "defective" for line in inspected.lines)
    assert tab.evaluate("document.images.length") == 32 + 2 * with_defect
    assert tab.evaluate("document.querySelector('h1').textContent") == "models/starter on my photos (1)"
    assert tab.evaluate("[...document.images].every(each => each.naturalWidth == 112)")
    assert tab.complaints == []
    tab.photograph(tmp_path / "page.png")
    assert len(set(Image.open(tmp_path / "page.png").convert("RGB").resize((60, 40)).getdata())) > 100


def test_filters_and_order_work_when_clicked(tab: Tab, inspected: Inspected):
    def click(name: str) -> None:
        tab.evaluate(f"document.querySelector('label[for={name}]').click()")

    for kind in ("defective", "normal"):
        click(f"show-{kind}")
        assert tab.evaluate(VISIBLE) == inspected.summary[kind]
    click("show-error")
    assert tab.evaluate(VISIBLE) == 1
    click("show-wrong")
    assert tab.evaluate(VISIBLE) == sum(line["truth"] not in (None, line["verdict"]) for line in inspected.lines)
    for layer, selector in {"true": "img.true", "said": "rect.said"}.items():
        shown = f"getComputedStyle(document.querySelector('{selector}')).display"
        assert tab.evaluate(shown) != "none"
        click(f"layer-{layer}")
        assert tab.evaluate(shown) == "none"
        click(f"layer-{layer}")
    click("show-all")
    assert tab.evaluate(VISIBLE) == 17
    likeliest = max(inspected.lines, key=lambda line: line["p_yes"] or 0)["p_yes"]
    first = next(line for line in inspected.lines if line["id"] == tab.evaluate(FIRST))
    assert first["p_yes"] == pytest.approx(likeliest)
    click("by-name")
    assert tab.evaluate(FIRST) == "good/0000_cut"


def test_the_page_fits_a_phone(inspected: Inspected, tab: Tab):
    tab.call("Emulation.setDeviceMetricsOverride", width=400, height=800, deviceScaleFactor=2, mobile=True)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 400
    tab.call("Emulation.clearDeviceMetricsOverride")


@pytest.mark.rare
def test_ctrl_c_ends_in_seconds_and_keeps_the_finished_predictions(demo_data: Path, tmp_path: Path):
    reference, photos = next(iter((demo_data / "wood/train/good").glob("*.png"))), tmp_path / "photos"
    for folder in demo_data.glob("*/test"):
        shutil.copytree(folder, photos / folder.parent.name)
    lines = tmp_path / "run/predictions.jsonl"
    arguments = ("model=starter", f"input={photos}", f"reference={reference}", f"output={tmp_path}/run", "batch=2")
    with start("predict", *arguments) as run:
        deadline = time.monotonic() + 300
        while not (lines.exists() and lines.read_text()):
            assert run.process.poll() is None, run.process.communicate()[0][-2000:]
            assert time.monotonic() < deadline, "no prediction in 300 s"
            time.sleep(0.05)
        asked = time.monotonic()
        run.signal_group(signal.SIGINT)
        said = run.process.communicate(timeout=60)[0]
    assert run.process.returncode == 130, said[-2000:]
    assert time.monotonic() - asked < 20
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["stopped"].startswith("stopped by Ctrl-C after ")
    assert 0 < summary["images"] == len(lines.read_text().splitlines()) < 160
    assert "stopped by Ctrl-C" in (tmp_path / "run/predictions.html").read_text()

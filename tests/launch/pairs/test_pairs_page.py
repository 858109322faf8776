"""The page of `assay pairs`: every number in its place, every text of a model escaped."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from launch.pairs.page import Example, PairsRecord, Selected, page
from rl.types import Sample, Target, Task

RECORD = PairsRecord(
    title="mine",
    facts={"Seed": "7"},
    num_samples=10,
    num_kept=4,
    num_pairs=3,
    margin=0.1,
    selected=[
        *[Selected(p_right=0.26, num_options=4, kept=True)] * 4,
        *[Selected(p_right=1.0, num_options=4, kept=False)] * 5,
    ],
    unanswered=1,
    refused={"chosen": {"form": 2}, "rejected": {"leak": 3, "form": 1}},
    left_out={"leak": 1},
    examples=(),
)


def test_the_tiles_count_samples_kept_and_pairs():
    assert re.findall(r"<b>(\d+)</b>", page(RECORD)) == ["10", "4", "3", "1"]
    assert "p(right) within 0.1 of chance" in page(RECORD)


def test_the_histogram_counts_kept_and_other_samples_with_the_band_of_chance():
    drawn = page(RECORD)
    assert "p from 0.25 to 0.275: 4 kept, 0 not" in drawn
    assert "p from 0.975 to 1: 0 kept, 5 not" in drawn
    assert '<rect class="band" x="15.00" y="0" width="20.00"' in drawn
    assert "Not shown, for want of an option in the answers: 1." in drawn


def test_each_number_of_options_has_its_band_cut_at_0():
    selected = [Selected(p_right=0.5, num_options=count, kept=True) for count in (2, 20, 2)]
    bands = re.findall(r'class="band" x="([\d.]+)" y="0" width="([\d.]+)"', page(replace(RECORD, selected=selected)))
    assert bands == [("0.00", "15.00"), ("40.00", "20.00")]


def test_without_a_selection_there_is_no_histogram():
    drawn = page(replace(RECORD, margin=None, selected=(), unanswered=0))
    assert "Histogram" not in drawn and "all of them, unasked" in drawn


def test_broken_rules_are_explained_and_counted_by_side():
    rows = re.findall(r"<tr><th>(\w+)</th><td>[^<]+?</td>((?:<td>\d+</td>)+)", page(RECORD))
    assert [(kind, re.findall(r"\d+", counts)) for kind, counts in rows] == [
        ("form", ["2", "1", "0"]),
        ("leak", ["0", "3", "1"]),
    ]
    assert "What was refused" not in page(replace(RECORD, refused={"chosen": {}, "rejected": {}}, left_out={}))


def test_a_run_that_ended_early_says_so():
    assert "stopped by Ctrl-C" in page(replace(RECORD, stopped="stopped by Ctrl-C")) and "finished" in page(RECORD)
    assert '<span class="status bad">failed</span>' in page(replace(RECORD, failed="none of 4 samples"))


@pytest.mark.parametrize("name", ["<b>x</b>", '"><script>'])
def test_a_pair_is_shown_with_its_image_as_text(tmp_path: Path, name: str):
    Image.new("RGB", (8, 8)).save(tmp_path / "part.png")
    target = Target(label="defective", option="A", options={"A": f"crack {name}", "B": "stain"})
    sample = Sample(
        id=name, images=(tmp_path / "part.png",), question="?", target=target, category="metal", task=Task.routed
    )
    example = Example(
        sample=sample,
        chosen=f"<knowledge>Crack {name}</knowledge><think>Deep {name}</think><answer>A</answer>",
        rejected="<knowledge>Stain</knowledge><think>Flat</think><answer>B</answer>",
        p_right=0.25,
    )
    drawn = page(replace(RECORD, examples=(example,)))
    assert name not in drawn
    assert "✓ chosen" in drawn and "B: stain" in drawn and "p(right) 0.250" in drawn and "<blockquote>Flat<" in drawn
    assert 'src="data:image/jpeg;base64,' in drawn

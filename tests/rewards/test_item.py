import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.item import read_target, target_fields
from rl.types import Target

NUMBERS = st.integers(0, 50)
BOXES = st.tuples(NUMBERS, NUMBERS, st.integers(51, 99), st.integers(51, 99)).map(lambda box: tuple(map(float, box)))
TARGETS = st.builds(
    Target,
    label=st.sampled_from(["", "normal", "defective"]),
    kind=st.text(),
    boxes=st.lists(BOXES, max_size=3).map(tuple),
    box_labels=st.lists(st.text(min_size=1), max_size=3).map(tuple),
    rationale=st.text(),
    option=st.sampled_from(["", "B"]),
    options=st.just({"A": "none", "B": "cut"}),
    cells=st.none() | st.frozensets(st.tuples(st.integers(0, 15), st.integers(0, 15)), max_size=4),
    knowledge=st.text(),
    offered=st.lists(st.text(), max_size=3).map(tuple),
)


@given(TARGETS)
def test_a_target_written_to_a_file_reads_back_as_itself(target: Target):
    assert read_target(json.loads(json.dumps(target_fields(target)))) == target


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("normal", "target must be an object"),
        ({"label": "good"}, 'target.label must be "normal" or "defective"'),
        ({"boxes": [[0, 0, 1]]}, r"target.boxes: \[0, 0, 1\] is not"),
        ({"boxes": [[4, 0, 1, 1]]}, "with x1 < x2"),
        ({"boxes": [[0, 0, True, 1]]}, "target.boxes"),
        ({"boxes": 3}, "target.boxes must be a list"),
        ({"cells": [[0, 16]]}, "target.cells"),
        ({"offered": "Hole"}, "target.offered must be a list"),
        ({"rationale": 5}, "target.rationale must be text"),
    ],
)
def test_a_wrong_target_is_named(values, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_target(values)

from pathlib import Path

import numpy as np
import pytest

from rl.data.config import Choice, KnowledgeConfig
from rl.data.knowledge.offers import kind_of, read_knowledge, with_offers
from rl.types import Sample, Target

BASE = """
Demo:
  zipper:
    good: "<Normal> The zipper's teeth stand evenly."
    split_teeth: "<Split Teeth> Two rows of teeth of the zipper part."
    broken_teeth: "<Broken Teeth> A tooth of the zipper is gone."
    stain: "<Stain> Oil lies on the fabric."
"""
DEFECTIVE = Target(label="defective", option="B", options={"A": "stain", "B": "split teeth", "C": "No defect"})


def knowledge(tmp_path: Path, **options: object) -> KnowledgeConfig:
    path = tmp_path / "knowledge.yaml"
    path.write_text(BASE)
    return KnowledgeConfig(**{"file": str(path), "num_wrong": 1, **options})


def sample(target: Target = DEFECTIVE) -> Sample:
    return Sample(id="zipper/test/0", images=(), question="Which?", target=target, category="zipper")


def embed(texts):
    """Near is who speaks of teeth."""
    return np.array([[1.0, 0.1] if "teeth of" in text or "tooth" in text else [0.1, 1.0] for text in texts])


def test_the_question_offers_the_right_entry_and_the_nearest_wrong_one(tmp_path):
    (offered,) = with_offers([sample()], knowledge(tmp_path), embed)
    question, offer, *lines = offered.question.splitlines()
    assert (question, offer) == ("Which?", "Here is some optional knowledge.")
    assert sorted(lines) == [
        '"Broken Teeth": "A tooth of the [object] is gone."',
        '"Split Teeth": "Two rows of teeth of the [object] part."',
    ]
    assert offered.target.offered == ("Split Teeth", "Broken Teeth")
    assert offered.target.knowledge == "Two rows of teeth of the [object] part."


def test_objects_keep_their_names_and_wrong_ones_come_by_chance_where_that_is_asked_for(tmp_path):
    config = knowledge(tmp_path, wrong=Choice.uniform, object_agnostic=False)
    (offered,) = with_offers([sample(Target(label="normal"))], config, lambda texts: 1 / 0)
    assert '"Normal": "The zipper\'s teeth stand evenly."' in offered.question
    assert len(offered.question.splitlines()) == 4 and offered.target.offered[0] == "Normal"
    assert all(f'"{name}": "' in offered.question for name in offered.target.offered)


def test_the_kind_of_a_defect_is_its_boxes_label_or_its_option():
    assert kind_of(sample()) == "split teeth"
    boxed = Target(label="defective", boxes=((0, 0, 1, 1),) * 2, box_labels=("stain",) * 2)
    assert kind_of(sample(boxed)) == "stain"
    assert kind_of(sample(Target(label="normal"))) == "good"


@pytest.mark.parametrize("labels", [(), ("stain", "hole")])
def test_a_defect_of_no_single_kind_is_refused_by_its_sample(labels):
    boxes = ((0.0, 0.0, 1.0, 1.0),) * len(labels)
    target = Target(label="defective", boxes=boxes, box_labels=labels)
    with pytest.raises(ValueError, match="sample zipper/test/0: its defect is (of no known kind|hole and stain)"):
        kind_of(sample(target))


def test_a_file_of_another_kind_is_refused():
    with pytest.raises(ValueError, match="must end in .json, .yaml"):
        read_knowledge(KnowledgeConfig(file="knowledge.txt"))

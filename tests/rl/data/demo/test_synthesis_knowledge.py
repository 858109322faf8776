"""The demo's own knowledge serves every one of its samples and gives nothing away."""

import hashlib
from itertools import product

import numpy as np
import pytest

from rl.data.config import KNOWLEDGE, Choice, DataConfig, KnowledgeConfig
from rl.data.demo.synthesis import DEFECTS, MATERIALS, write_demo
from rl.data.knowledge.entries import called_alike
from rl.data.knowledge.leaks import leaks
from rl.data.knowledge.offers import read_knowledge, with_offers
from rl.data.knowledge.routing import named_knowledge
from rl.data.prompts import answer_text
from rl.data.reading import read_samples
from rl.types import Task


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    root = tmp_path_factory.mktemp("demo")
    write_demo(root, seed=0, num_parts=6)
    return root


def embed(texts):
    """Vectors of no meaning, so that any entry may be the nearest."""
    return np.array([[byte - 128.0 for byte in hashlib.sha256(text.encode()).digest()] for text in texts])


def test_every_defect_of_every_material_has_two_sentences_that_no_material_tells_apart(demo):
    entries = read_knowledge(KnowledgeConfig(file=str(demo / KNOWLEDGE)))
    assert {(entry.object, entry.defect) for entry in entries} == set(product(MATERIALS, ("good", *DEFECTS)))
    assert all(entry.text.count(".") == 2 for entry in entries)
    assert len({entry.text for entry in entries}) == len({entry.name for entry in entries}) == 4


def test_names_tell_defects_apart_and_no_text_names_its_material(demo):
    entries = read_knowledge(KnowledgeConfig(file=str(demo / KNOWLEDGE)))
    assert {entry.name for entry in entries} == {"Normal", "Scratch", "Hole", "Stain"}
    assert all("[object]" in entry.text and leaks(entry.text) == () for entry in entries)
    assert all(named_knowledge(entry.text, {other.name for other in entries}) == "" for entry in entries)


@pytest.mark.parametrize("wrong", Choice)
def test_every_sample_finds_three_wrong_pieces_beside_its_own(demo, wrong):
    samples = read_samples(DataConfig(root=str(demo), task=Task.routed))
    config = KnowledgeConfig(file=str(demo / KNOWLEDGE), wrong=wrong)
    for sample in with_offers(samples, config, embed):
        target = sample.target
        assert len(target.offered) == 4 == sample.question.count('": "')
        kind = target.options[target.option]
        assert called_alike(target.offered[0]) == ("normal" if kind == "No defect" else kind)
        said = answer_text(target, Task.routed)
        assert said.startswith(f"<knowledge>{target.offered[0]}: {target.knowledge.split('.')[0]}.</knowledge><think>")

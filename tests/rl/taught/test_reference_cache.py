import asyncio
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders.token_groups import bare_prompt, token_group
from rl.data.lessons import Lesson
from rl.taught.reference_cache import CachedReference, ReferenceCache, folder_digest, lesson_key
from rl.types import Sample, Target

VALUES = {"a": ((-0.1, -2.5), (-1e-3,)), "b": ((float(np.float32(-7.3)),),)}
ROWS = {key: tuple(tuple(float(np.float32(value)) for value in row) for row in rows) for key, rows in VALUES.items()}


class Asked:
    """A reference that counts what it is asked."""

    def __init__(self) -> None:
        self.samples: list[str] = []

    async def logprobs(self, groups):
        self.samples += [group.prompt.sample.id for group in groups]
        return [replace(group, reference_logprobs=((-1.5,), (-2.5,))) for group in groups]


def groups(*names: str):
    return [token_group(bare_prompt([1], sample_id=name), [[2], [3]]) for name in names]


def kept(path: Path, inner: Asked | None) -> CachedReference:
    return CachedReference(inner, ReferenceCache(path), {name: f"key of {name}" for name in "xy"})


def test_what_is_added_is_read_again_to_the_bit(tmp_path):
    ReferenceCache(tmp_path / "new" / "file").add(ROWS)
    found = ReferenceCache(tmp_path / "new" / "file")
    assert {key: found[key] for key in ROWS} == ROWS
    assert found.num_damaged == 0


def test_an_answer_is_asked_for_once_in_all_runs(tmp_path):
    asked = Asked()
    for _ in range(2):
        (first, second) = asyncio.run(kept(tmp_path / "f", asked).logprobs(groups("x", "y")))
        assert first.reference_logprobs == second.reference_logprobs == ((-1.5,), (-2.5,))
    assert asked.samples == ["x", "y"]
    asyncio.run(kept(tmp_path / "f", None).logprobs(groups("y")))


def test_a_sample_that_comes_twice_in_a_step_is_asked_for_once(tmp_path):
    asked = Asked()
    found = asyncio.run(kept(tmp_path / "f", asked).logprobs(groups("x", "x")))
    assert asked.samples == ["x"] and len(found) == 2


@settings(max_examples=60)
@given(cut=st.integers(0, 400))
def test_a_file_cut_anywhere_loses_only_the_line_that_was_cut(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "file"
    ReferenceCache(path).add(ROWS)
    path.write_bytes(path.read_bytes()[:cut])
    found = ReferenceCache(path)
    assert all(found[key] == rows for key, rows in ROWS.items() if key in found)
    # Goes on as if nothing had happened.
    found.add({key: rows for key, rows in ROWS.items() if key not in found})
    again = ReferenceCache(path)
    assert {key: again[key] for key in ROWS} == ROWS


@given(place=st.integers(0, 10**6), byte=st.integers(0, 255))
def test_an_altered_byte_never_passes_for_a_log_prob(tmp_path_factory, place, byte):
    path = tmp_path_factory.mktemp("altered") / "file"
    ReferenceCache(path).add(ROWS)
    content = bytearray(path.read_bytes())
    content[place % len(content)] = byte
    path.write_bytes(content)
    found = ReferenceCache(path)
    assert all(found[key] == rows for key, rows in ROWS.items() if key in found)


def test_damage_is_counted(tmp_path):
    cache = ReferenceCache(tmp_path / "f")
    cache.add(ROWS)
    cache.path.write_bytes(cache.path.read_bytes()[:-9])
    assert ReferenceCache(cache.path).num_damaged == 1


def sample(tmp_path: Path, pixels: bytes = b"png") -> Sample:
    image = tmp_path / "0.png"
    image.write_bytes(pixels)
    return Sample(id="s", images=(image,), question="?", target=Target(label="normal"), category="c")


@pytest.mark.parametrize(
    "other",
    [
        lambda folder: ("other", {"square": 0}, sample(folder), Lesson(chosen="x")),
        lambda folder: ("m", {"square": 420}, sample(folder), Lesson(chosen="x")),
        lambda folder: ("m", {"square": 0}, replace(sample(folder), question="!"), Lesson(chosen="x")),
        lambda folder: ("m", {"square": 0}, sample(folder), Lesson(chosen="y")),
        lambda folder: ("m", {"square": 0}, sample(folder), Lesson(chosen="x", rejected="y")),
        lambda folder: ("m", {"square": 0}, sample(folder, b"other"), Lesson(chosen="x")),
    ],
    ids=["model", "prompts", "question", "answer", "pair", "image"],
)
def test_whatever_changes_the_log_probs_changes_the_key(tmp_path, other):
    before = lesson_key("m", {"square": 0}, sample(tmp_path), Lesson(chosen="x"))
    assert lesson_key("m", {"square": 0}, sample(tmp_path), Lesson(chosen="x")) == before
    assert lesson_key(*other(tmp_path)) != before


def test_a_model_folder_is_told_apart_by_a_changed_weight_or_tokenizer(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(10**6))
    (tmp_path / "tokenizer.json").write_text("{}")
    digests = {folder_digest(tmp_path)}
    (tmp_path / "model.safetensors").write_bytes(bytes(10**6 - 1) + b"1")
    digests.add(folder_digest(tmp_path))
    (tmp_path / "tokenizer.json").write_text("[]")
    digests.add(folder_digest(tmp_path))
    assert len(digests) == 3

"""Config values that follow from a model's folder."""

import json
from pathlib import Path

import pytest

from conf.models import precision_of


@pytest.mark.parametrize(
    ("config", "precision"),
    [
        ({"dtype": "float32"}, "fp32"),
        ({"torch_dtype": "float32"}, "fp32"),
        ({"dtype": "bfloat16", "torch_dtype": "float32"}, "bf16"),
        ({"torch_dtype": "float16"}, "bf16"),
        ({}, "bf16"),
    ],
)
def test_the_precision_is_that_of_the_saved_weights(config, precision, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert precision_of(str(tmp_path)) == precision


@pytest.mark.parametrize("path", ["", "owner/name", "nowhere"])
def test_a_path_that_is_no_folder_is_bf16(path):
    assert precision_of(path) == "bf16"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_broken_config_is_one_sentence_with_its_path(content, tmp_path: Path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(ValueError) as caught:
        precision_of(str(tmp_path))
    sentence = str(caught.value)
    assert sentence.startswith(f"{tmp_path}/config.json: ") and sentence.endswith("; copy the model anew")
    assert "\n" not in sentence

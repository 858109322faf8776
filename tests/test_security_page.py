"""SECURITY.md promises nothing that no test proves."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from test_architecture import SOURCES, name

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROWS = [line for line in PAGE.splitlines() if re.match(r"\| (?!what |secret |-)", line)]
UNTRUSTED = (
    *("answers", "images", "annotations", "knowledge", "lessons", "model folders", "checkpoints", "teachers", "names"),
)


@cache
def names_in(file: str) -> set[str]:
    """Return the names of the functions in a file of tests."""
    tree = ast.parse((ROOT / file).read_text(encoding="utf-8")) if (ROOT / file).is_file() else ast.Module([], [])
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("file", "test"), NAMED.findall(PAGE))
def test_every_test_that_the_page_names_exists(file: str, test: str):
    assert test in names_in(file)


def test_every_promise_names_its_test():
    assert len(ROWS) > 15 and [row for row in ROWS if not NAMED.search(row)] == []


@pytest.mark.parametrize("thing", UNTRUSTED)
def test_the_page_speaks_of_everything_that_comes_from_elsewhere(thing: str):
    assert any(thing in row.split("|")[1].lower() for row in ROWS)


def test_no_code_of_a_model_is_run():
    """transformers and vLLM run a model's own Python only where a caller asks for it by this name."""
    assert [name(file) for file in SOURCES if "trust_remote_code" in file.read_text(encoding="utf-8")] == []

"""The schema: every key is explained and read by code, and its import is cheap."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from conf.keys import sections, walk
from conf.schema import CompareConfig, DemoDataConfig, PairsConfig, PredictConfig, ScoreConfig, TrainConfig
from rl.config import check_ranges

ROOT = Path(__file__).parents[2]
PACKAGES = ("actors", "launch", "rewards", "rl", "rollout")
SCHEMAS = [TrainConfig, DemoDataConfig, ScoreConfig, PredictConfig, PairsConfig, CompareConfig]


def section_classes(schema: type, name: str = "") -> Iterator[tuple[str, type]]:
    """Yield the name of each section with its config class."""
    yield name, schema
    for field, kind in get_type_hints(schema).items():
        for part in (kind, *get_args(kind)):
            if is_dataclass(part):
                yield from section_classes(part, field)


def without(names: set[str], file: Path) -> ast.Module:
    """Parse the file without the classes `names`."""
    tree = ast.parse(file.read_text())
    tree.body = [node for node in tree.body if not (isinstance(node, ast.ClassDef) and node.name in names)]
    return tree


def reads(tree: ast.AST) -> set[tuple[str, str]]:
    """Return (holder, attribute) of each attribute that is read: ("config", "lr") for `self._config.lr`."""
    loads = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)]
    return {(_last_name(node.value), node.attr) for node in loads}


def typed_names(tree: ast.AST) -> dict[str, set[str]]:
    """Return the names that a file annotates, by the name of their class."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and isinstance(node.annotation, ast.Name):
            name = node.arg if isinstance(node, ast.arg) else _last_name(node.target)
            found.setdefault(node.annotation.id, set()).add(name)
    return found


def _last_name(node: ast.expr) -> str:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return name.lstrip("_")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_key_is_read_by_code(schema):
    """Find each key read as `<section>.<key>`, or from a name annotated with the config's class; skip definitions."""
    classes = list(section_classes(schema))
    names = {kind.__name__ for _, kind in classes}
    trees = [without(names, file) for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    seen = [(reads(tree), typed_names(tree)) for tree in trees]
    unread = []
    for section, kind in classes:
        # The composer reads the table of components by its fields.
        for field in [field for field in fields(kind) if "component" not in field.metadata]:
            typed = [base.__name__ for base in kind.__mro__]
            holders = [{section}.union(*(names.get(name, set()) for name in typed)) for _, names in seen]
            pairs = zip(seen, holders, strict=True)
            if not any((holder, field.name) in found for (found, _), some in pairs for holder in some):
                unread.append(f"{section}.{field.name}".lstrip("."))
    assert unread == []


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_key_and_section_has_a_help_sentence(schema):
    texts = {key.path: key.help for key in walk(schema)} | sections(schema)
    assert [path for path, text in texts.items() if not (len(text) > 8 and text.endswith("."))] == []


@pytest.mark.parametrize("schema", SCHEMAS)
def test_the_defaults_keep_their_own_ranges(schema):
    check_ranges(schema())


def test_importing_the_schema_loads_neither_ray_torch_nor_vllm():
    heavy = {"ray", "torch", "vllm", "transformers", "verl", "wandb"}
    code = f"import sys, conf.schema; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"

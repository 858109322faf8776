"""Every command and every link that the documentation shows works as it stands."""

import re
import shlex
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from launch.app import run_app
from launch.cli import APPS

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("README.md"), *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
OTHER_PROGRAMS = {"cd", "git", "source", "ray", "wandb", "export"}


def commands(page: Path) -> list[str]:
    """The lines of the page's shell blocks, continued lines joined, comments left out."""
    blocks = BLOCK.findall(page.read_text())
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


SHOWN = [(page.name, command) for page in PAGES for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_command_works_as_it_stands(page, command, tmp_path, monkeypatch):
    words = shlex.split(command, comments=True)
    words = words[words.index("--") + 1 :] if "--" in words else words
    program = Path(words[0]).name
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert [word for word in words[1:] if "=" not in word and word not in targets] == []
    elif words[:2] == ["python", "-m"]:
        assert find_spec(words[2])
        if words[2].startswith("launch."):
            check_verb(words[2].removeprefix("launch."), words[3:], tmp_path, monkeypatch)
    elif program == "assay":
        check_verb(words[1] if len(words) > 1 else "--help", words[2:], tmp_path, monkeypatch)
    elif program in ("pip", "pytest"):
        assert [word for word in words[1:] if "tests/" in word and not (ROOT / word).exists()] == []
    else:
        assert program in OTHER_PROGRAMS


def check_verb(verb: str, arguments: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verb exists and takes these arguments."""
    if verb == "--help":
        return
    (app,) = [app for app in APPS if app.verb == verb]
    monkeypatch.chdir(folder)
    assert run_app(replace(app, check=lambda config: None, main=lambda config: 0), arguments) == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_into_the_repository_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_the_readme_shows_how_to_run_the_demo():
    assert ("README.md", "make demo") in SHOWN

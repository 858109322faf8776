"""Every command and every link that the documentation shows works as it stands."""

import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import pytest

from launch.__main__ import COMMANDS
from launch.command.arguments import Parser, in_full, with_key
from launch.command.completion import SCRIPTS
from launch.command.composing import jobs_of, open_composer
from launch.command.mistakes import check_read
from launch.command.sweep import sweep_parser
from launch.jobs.ray_launcher import add_ray_jobs
from launch.jobs.submit import _parse
from launch.verbs import VERBS

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md")])
BLOCK = re.compile(r"^```(?:bash|sh|console)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
OTHER_PROGRAMS = {"cd", "docker", "export", "git", "kubectl", "ray", "sbatch", "source", "wandb"}


def commands(page: Path) -> list[str]:
    """The lines of the page's shell blocks, continued lines joined, comments left out."""
    blocks = BLOCK.findall(page.read_text())
    lines = [line.removeprefix("$ ").strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


PATCHED = "extending.md"
"""Its commands are for patched sources; test_extending.py runs them."""
SHOWN = [(page.name, command) for page in PAGES if page.name != PATCHED for command in commands(page)]


@pytest.mark.parametrize(("page", "command"), SHOWN)
def test_a_command_works_as_it_stands(page, command):
    words = shlex.split(command, comments=True)
    words = words[words.index("--") + 1 :] if "--" in words else words
    program = Path(words[0]).name
    if program == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
        assert [word for word in words[1:] if "=" not in word and word not in targets] == []
    elif words[:2] == ["python", "-m"]:
        assert find_spec(words[2])
        if words[2].startswith("launch."):
            check_module(words[2].removeprefix("launch."), words[3:])
    elif program == "assay":
        check_verb(words[1] if len(words) > 1 else "--help", words[2:])
    elif program in ("pip", "pytest"):
        assert [word for word in words[1:] if "tests/" in word and not (ROOT / word).exists()] == []
    else:
        assert program in OTHER_PROGRAMS


def check_module(name: str, arguments: list[str]) -> None:
    if name == "command.sweep":
        assert sweep_parser().parse_args(arguments).rank_by
    else:
        check_verb(name, arguments)


def check_verb(verb: str, arguments: list[str]) -> None:
    """The verb exists and takes these arguments."""
    if verb in ("--help", "--version"):
        return
    if verb in COMMANDS and verb != "submit":
        assert not arguments or arguments[0] in SCRIPTS
        return
    if verb == "submit":
        options, name = _parse(arguments), "train"
    else:
        parser, name = Parser(), verb
        parser.add_argument("--cfg", "-c")
        options = parser.read(arguments)
    add_ray_jobs()
    found = VERBS[name]
    with open_composer(name, found.schema, options.hydra_arguments) as composer:
        options.overrides = in_full(with_key(options.overrides, found.unnamed), composer.choices, found.lists, ())
        for job in jobs_of(options.overrides, composer.sweeper) if options.multirun else [options.overrides]:
            check_read(job, found.unread)
            composer.compose(job)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_into_the_repository_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    inside = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [link for link in inside if not (page.parent / link).exists()] == []


def test_the_readme_shows_how_to_run_the_demo():
    assert ("README.md", "make demo") in SHOWN

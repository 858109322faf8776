"""The commit of the sources and the versions of the packages that a run is made with."""

import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from launch.run.software import GIT_TIMEOUT_S, commit_of, versions


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=Ann", "-c", "user.email=ann@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A working tree with a commit that has a tag."""
    git(tmp_path, "init", "-q")
    (tmp_path / "code.py").write_text("1\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "First")
    git(tmp_path, "tag", "-a", "v1", "-m", "v1")
    return tmp_path


def test_the_commit_is_named_and_a_change_of_a_tracked_file_with_it(tree: Path) -> None:
    commit = git(tree, "rev-parse", "--short=12", "HEAD")
    (tree / "notes.txt").write_text("not tracked\n")
    assert commit_of(tree) == commit
    (tree / "code.py").write_text("2\n")
    assert commit_of(tree) == f"{commit}, modified"


def test_sources_without_a_repository_of_their_own_have_an_unknown_commit(tree: Path) -> None:
    installed = tree / "lib/site-packages"
    installed.mkdir(parents=True)
    assert commit_of(installed) == "unknown"
    (installed / ".git").mkdir()
    assert commit_of(installed) == "unknown"


def test_a_git_hook_does_not_lead_to_another_repository(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tree / "elsewhere"))
    assert commit_of(tree) != "unknown"


def test_a_git_that_hangs_is_not_waited_for(tree: Path, tmp_path_factory, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path_factory.mktemp("bin")
    (programs / "git").write_text("#!/bin/sh\nexec sleep 60\n")
    (programs / "git").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    began = time.monotonic()
    assert commit_of(tree) == "unknown"
    assert time.monotonic() - began < GIT_TIMEOUT_S + 5


def test_without_git_the_commit_is_unknown(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tree))
    assert commit_of(tree) == "unknown"


def test_versions_are_those_of_the_installed_packages() -> None:
    found = versions()
    assert found["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert found["ray"] == version("ray")
    assert "not installed" not in found.values()

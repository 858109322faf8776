"""Rules for the sources that no linter checks."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("actors", "benchmarks", "conf", "launch", "rewards", "rl", "rollout")
SOURCES = sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
VAGUE = {"util", "utils", "helper", "helpers", "manager", "misc", "common"}
PUBLIC_HOSTS = {
    "www.apache.org",
    "download.pytorch.org",
    "www.w3.org",
    "api.wandb.ai",
    "cdn.plot.ly",
    "keepachangelog.com",
}
TEXT = {".py", ".md", ".toml", ".yaml", ".txt", ".json", ".jinja", ".html", ".css", ".js", ""}


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def kept_files() -> list[Path]:
    """List the files that git tracks or would add."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True
    ).stdout.splitlines()
    return [ROOT / line for line in listed if (ROOT / line).is_file()]


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_a_file_is_at_most_400_lines_and_has_a_docstring(file):
    text = file.read_text()
    assert len(text.splitlines()) <= 400
    assert not text or ast.get_docstring(ast.parse(text))


def test_no_module_has_a_vague_name():
    assert [name(file) for file in SOURCES if VAGUE & set(file.stem.split("_"))] == []


def test_git_ignores_what_the_commands_of_the_first_hour_write_but_no_starter():
    written = ["runs/photos/report.html", "models/photos/config.json", "elpv/photos/1.png", "data/demo/1.png"]
    starters = [f"models/starter{form}/new.json" for form in ("", "_forms", "_routed", "_yes_no")]
    command = ["git", "check-ignore", *written, *starters]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=True).stdout
    assert told.splitlines() == written


def defensive(tree: ast.AST) -> Iterator[str]:
    """Yield the lines that call hasattr or a defaulted getattr, or drop an exception."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3):
                yield f"{node.lineno}: {node.func.id}"
        if isinstance(node, ast.ExceptHandler) and all(_does_nothing(step) for step in node.body):
            yield f"{node.lineno}: an except that swallows"


def _does_nothing(step: ast.stmt) -> bool:
    constant = isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)
    return constant or isinstance(step, ast.Pass | ast.Continue)


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_code_is_not_defensive(file):
    assert list(defensive(ast.parse(file.read_text()))) == []


@pytest.mark.parametrize(
    "code", ["hasattr(a, 'b')", "getattr(a, 'b', None)", "try:\n    f()\nexcept OSError:\n    pass"]
)
def test_the_rule_against_defensive_code_finds_it(code):
    assert len(list(defensive(ast.parse(code)))) == 1


def traces(text: str) -> list[str]:
    """List the paths, hosts and addresses that belong to somebody's machine."""
    paths = re.findall(r"(?<![\w.*/])/(?:home|root|Users|work|mnt|opt)/[\w.-]+", text)
    hosts = [host for host in re.findall(r"https?://([\w.-]+)", text) if host not in PUBLIC_HOSTS]
    octets = re.findall(r"(?<![\w.])(\d{1,3}(?:\.\d{1,3}){3})(?![\w.])", text)
    addresses = [address for address in octets if address not in ("127.0.0.1", "0.0.0.0")]
    return paths + hosts + addresses


def test_no_path_host_or_address_of_a_machine_is_in_the_repository():
    pins = ROOT / "constraints"
    files = [file for file in kept_files() if file.suffix in TEXT and file != Path(__file__) and file.parent != pins]
    found = {name(file): traces(file.read_text(errors="replace")) for file in files}
    assert {file: some for file, some in found.items() if some} == {}


@pytest.mark.parametrize(
    "text", ["see /home/ann/x", "at https://intra.example/simple", "on 10.1.2.3:80", "in '/work/main'"]
)
def test_the_search_for_traces_of_a_machine_finds_them(text):
    assert len(traces(text)) == 1


NOT_NEEDED = {
    "launch.__main__": ("torch", "ray", "transformers", "scipy.optimize"),
    "launch.train.run, launch.predict.run, launch.pairs.run": ("verl", "tensordict", "peft", "vllm", "sklearn"),
    "actors.learner": ("verl", "tensordict", "peft", "vllm", "sklearn", "hydra"),
    "actors.reference": ("verl", "peft", "vllm", "sklearn", "hydra"),
    "rollout.engine": ("verl", "peft", "sklearn"),
    "actors.reward_worker": ("torch", "transformers", "vllm", "sklearn"),
}
"""Slow imports that a process with these modules does not need, by the modules."""


@pytest.mark.slow
@pytest.mark.parametrize("modules", NOT_NEEDED)
def test_a_process_does_not_import_what_it_does_not_need(modules):
    code = f"import sys, {modules}; print(sorted(set({NOT_NEEDED[modules]}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1] == "[]"

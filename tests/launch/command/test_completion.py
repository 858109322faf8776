"""Completion offers verbs, keys, options and values, in a real shell and without waiting for Hydra."""

import shlex
import shutil
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from launch.__main__ import assay
from launch.command.completion import CANDIDATES, CONF, SCRIPTS, options_of
from launch.command.composing import open_composer
from launch.verbs import VERBS

ROOT = Path(__file__).parents[3]


def offered(line: str) -> list[str]:
    """Return the candidates for the last word of a line, which ends with a blank if that word is empty."""
    shown = StringIO()
    with redirect_stdout(shown):
        assert assay(["completion", CANDIDATES, *line.split(" ")[1:]]) == 0
    return shown.getvalue().splitlines()


def test_verbs_are_offered_first():
    assert offered("assay tr") == ["train"]
    assert {"train", "doctor", "completion", "--version"} <= set(offered("assay "))


def test_keys_are_offered_part_by_part():
    assert offered("assay train al") == ["algo=", "algo."]
    assert {"algo.lr=", "algo.kto."} <= set(offered("assay train algo."))
    assert offered("assay train algo.kto.n") == [] and "seed=" in offered("assay train ")


def test_files_are_left_to_the_shell_where_a_verb_takes_them_without_a_key():
    assert offered("assay compare ") == offered("assay compare ru") == []
    assert offered("assay compare runs/a out") == ["output="]


def test_options_of_a_group_are_offered():
    assert {"experiment=demo", "experiment=dcr2ad/ablation"} <= set(offered("assay train experiment=d"))
    assert offered("assay score reward=judo") == ["reward=judo"]


def test_values_of_a_choice_and_of_a_truth_are_offered():
    assert offered("assay train model.precision=") == ["model.precision=fp32", "model.precision=bf16"]
    assert offered("assay train seed=1 data.with_reference=t") == ["data.with_reference=true"]


def test_a_number_and_a_file_have_no_candidates():
    assert offered("assay train algo.lr=") == offered("assay predict input=") == []


def test_submit_takes_the_keys_of_train_and_flags_of_its_own():
    assert offered("assay submit experiment=dem") == ["experiment=demo"]
    assert offered("assay submit --a") == ["--address"]
    assert offered("assay train --c") == ["--cfg", "--config-dir"]


def test_a_sweep_is_offered_where_a_verb_takes_one():
    assert offered("assay train -m") == ["-m"] and offered("assay compare -m") == []


def test_keys_that_a_verb_ignores_are_not_offered():
    assert offered("assay predict rollout.temp") == [] and offered("assay train rollout.temp") == [
        "rollout.temperature="
    ]


def test_a_users_own_options_are_offered(tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").touch()
    assert offered(f"assay train --config-dir {tmp_path} experiment=mi") == ["experiment=mine"]


def test_nothing_is_offered_where_nothing_is_known():
    assert offered("assay trian a") == offered("assay doctor a") == offered("assay train --config-dir ") == []
    assert offered("assay completion ") == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("name", VERBS)
def test_the_groups_and_options_are_those_that_hydra_finds(name):
    with open_composer(name, VERBS[name].schema, []) as composer:
        expected = {group: sorted(options) for group, options in composer.options(composer.choices).items()}
    assert options_of(name, [CONF]) == expected


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with `assay` as the console command of these sources."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "assay"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {sys.executable} -m launch "$@"\n')
    program.chmod(0o755)
    return folder


def completed_by_bash(console: Path, line: str) -> list[str]:
    """Let bash split the line as it does when Tab is pressed, and call the function that `complete` names."""
    script = f"""
    source <(assay completion bash)
    COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
    compopt() {{ echo "compopt $*"; }}
    $(complete -p assay | sed 's/.* -F \\([^ ]*\\) .*/\\1/') assay
    for found in "${{COMPREPLY[@]}}"; do echo "$found"; done
    """
    env = {"PATH": f"{console}:/usr/bin:/bin"}
    done = subprocess.run(["bash", "-c", script], env=env, capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_completes_a_verb(console):
    assert completed_by_bash(console, "assay tr") == ["train"]


def test_bash_waits_for_the_value_after_a_key(console):
    assert completed_by_bash(console, "assay train algo.lr") == ["compopt -o nospace", "algo.lr="]


def test_bash_gets_only_what_stands_behind_the_equals_sign(console):
    assert completed_by_bash(console, "assay train seed=1 model.precision=") == ["fp32", "bf16"]


def test_bash_completes_files_where_nothing_is_offered(console):
    assert completed_by_bash(console, "assay predict input=") == []


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_is_printed_and_the_shell_reads_it(shell, capsys):
    assert assay(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "assay" in script
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=script, text=True, timeout=30, check=True)


def test_without_a_shell_the_usage_is_told(capsys):
    assert assay(["completion", "powershell"]) == 2
    assert "source <(assay completion bash)" in capsys.readouterr().err


def test_neither_hydra_nor_torch_nor_ray_is_imported_for_candidates_and_version():
    code = (
        "import sys; from launch.__main__ import assay; assay(['--version']); "
        "assay(['completion', '--candidates', 'train', 'experiment=']); "
        "print(sorted({'ray', 'torch', 'hydra', 'omegaconf', 'scipy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    version, *options, heavy = done.stdout.splitlines()
    assert version.startswith("assay ") and str(ROOT) in version
    assert "experiment=demo" in options and heavy == "[]"

"""What is wrong with files is said before ray, torch and transformers are imported, which takes many seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.wrong_inputs import write_material

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
CODE = """
import sys
from launch.__main__ import assay
assert assay(sys.argv[1:]) == 2
print(sorted({"ray", "torch", "transformers", "wandb"} & set(sys.modules)))
"""
PREDICT = ("predict", "model=starter_yes_no")
WRONG = {
    "has no known layout": ("train", "data.root=."),
    "nothing says where its defect is": ("train", "data.root=photos"),
    "the image is damaged": ("train", "data.root=damaged", "reward=yes_no"),
    "runs/old holds a run": ("train", "experiment=demo", "output=runs/old"),
    "there is no folder 'runs/nowhere'": ("train", "experiment=demo", "resume=runs/nowhere"),
    "export: there is no folder": ("export", "checkpoint=runs/nowhere", "output=models/mine"),
    "holds masks too": (*PREDICT, "input=data/demo/wood"),
    "has no image of the same path": (*PREDICT, "input=photos/bolt/test", "masks=data/demo"),
    "reference: there is no file or folder": (*PREDICT, "input=photos/bolt/test", "reference=nowhere"),
}


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    write_material(folder)
    return folder


@pytest.mark.parametrize("says", WRONG)
def test_a_wrong_file_is_named_before_the_slow_imports(says, material):
    done = subprocess.run(
        [sys.executable, "-c", CODE, *WRONG[says]], cwd=material, capture_output=True, text=True, timeout=120
    )
    assert says in done.stderr
    assert done.stdout.splitlines()[-1] == "[]"

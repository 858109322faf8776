"""Calls of actors: Ray checks their arguments at run time only, so they are compared with the methods here."""

import ast
import inspect
from pathlib import Path

import pytest

from actors.learner import Learner
from actors.reference import ReferencePolicy
from actors.reward_worker import RewardWorker
from actors.rollout_worker import RolloutWorker

ROOT = Path(__file__).parents[2]
CLASSES = (Learner, ReferencePolicy, RewardWorker, RolloutWorker)


def remote_calls() -> list[tuple[str, str, int, list[str]]]:
    """Return (place, method, number of positional arguments, keywords) of each `handle.method.remote(…)`."""
    found = []
    for path in sorted((ROOT / "actors").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "remote":
                called = node.func.value
                if isinstance(called, ast.Call):
                    # handle.method.options(…).remote(…)
                    called = called.func.value
                if isinstance(called, ast.Attribute):
                    keywords = [keyword.arg for keyword in node.keywords]
                    found.append((f"{path.name}:{node.lineno}", called.attr, len(node.args), keywords))
    return found


@pytest.mark.parametrize(("place", "method", "num_positional", "keywords"), remote_calls())
def test_a_remote_call_has_the_arguments_of_its_method(place, method, num_positional, keywords):
    signatures = [inspect.signature(vars(kind)[method]) for kind in CLASSES if method in vars(kind)]
    inherited = [inspect.signature(base) for name, base in vars(Learner.__base__).items() if name == method]
    for signature in (*signatures, *inherited):
        try:
            signature.bind(None, *range(num_positional), **dict.fromkeys(keywords))
            return
        except TypeError:
            continue
    pytest.fail(f"{place}: no actor has a method {method} with these arguments")

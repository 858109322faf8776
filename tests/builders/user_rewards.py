"""Reward functions of users, good ones and bad ones; like a user's file this one imports little."""

import ctypes
import os
import re
import subprocess
import sys
import time
from typing import Any

from rl.faults import UserError

CALLS: list[int] = []


def each(completions, value: Any) -> list[Any]:
    return [value] * len(completions)


def length_over_100(prompts, completions, **columns):
    """Reward with TRL's signature."""
    assert columns["target"][0]["label"] == "defective" and columns["id"] == ["part/test/cut/003"] * len(prompts)
    return [len(text) / 100 if text else None for text in completions]


def is_defective(data_source, solution_str, ground_truth, extra_info):
    """Reward with verl's signature."""
    assert extra_info == {"id": "part/test/cut/003"} and data_source == "boxes"
    return {"score": float(ground_truth["label"] == "defective"), "more": 1}


def is_ragged(prompts, completions, **columns):
    """Return floats with many digits, and an integer."""
    return [0.1 + 0.2, 1 / 3, -0.0, 7][: len(completions)]


def shows_arguments(prompts, completions, **columns):
    print(prompts, completions, columns)
    return each(completions, 1.0)


def shows_answers(prompts, completions, **columns):
    print(completions)
    return each(completions, 1.0)


def shows_answer(data_source, solution_str, ground_truth, extra_info):
    print(solution_str)
    return 1.0


def not_a_number(prompts, completions, **columns):
    return each(completions, float("nan"))


def too_few(prompts, completions, **columns):
    return [1.0] * (len(prompts) - 1)


def says_a_word(prompts, completions, **columns):
    return each(completions, "good")


def gives_a_number(prompts, completions, **columns):
    return 1.0


def gives_a_dict(data_source, solution_str, ground_truth, extra_info):
    return {"reward": 1.0}


def is_infinite(prompts, completions, **columns):
    return [1.0, float("inf")]


def is_shy(prompts, completions, **columns):
    return [1.0 if "<answer>" in text else None for text in completions]


def splits(prompts, completions, **columns):
    return [within(text) for text in completions]


def within(text):
    return float(len(text.split("<answer>")[1]))


def refuses(prompts, completions, **columns):
    """Say in words of its own what is wrong."""
    raise UserError("part 7 has no drawing; add it")


def has_no_opinion(prompts, completions, **columns):
    return each(completions, None)


def counts_then_fails(prompts, completions, **columns):
    print(f"{len(completions)} completions")
    return each(completions, 1.0 / (len(completions) - 1))


def talks(prompts, completions, **columns):
    print("two\nlines")
    print("a bar 10 %\ra bar 100 %", file=sys.stderr)
    print("no end", end="")
    return each(completions, 1.0)


def talks_then_fails(prompts, completions, **columns):
    print("about to fail")
    raise KeyError("missing")


def talks_below_python(prompts, completions, **columns):
    os.write(1, b"of a library\n")
    subprocess.run(["echo", "of a child"], check=True)
    return each(completions, 1.0)


def talks_without_end(prompts, completions, **columns):
    for _ in range(3):
        print("x" * 2**20)
    return each(completions, 1.0)


def reads_the_terminal(prompts, completions, **columns):
    return each(completions, float(input("how good? ")))


# What ends, or never ends; the text of the first completion says when.


def counts_calls(prompts, completions, **columns):
    """Return how often it was called; hang, leave or take memory if the answer says so."""
    CALLS.append(len(completions))
    fault = FAULTS.get(completions[0])
    if fault:
        print(f"{completions[0]} in call {len(CALLS)}")
        fault()
    return each(completions, float(len(CALLS)))


def backtracks():
    re.match("(a+)+$", "a" * 40 + "b")


def takes_memory():
    held = []
    while True:
        held.append(bytearray(2**24))


def reads_address_0():
    ctypes.string_at(0)


def forks_and_returns():
    os.fork()


def asks_for_too_much():
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 64 bytes. Error code 12")


FAULTS = {
    "sleeps": lambda: time.sleep(60),
    "backtracks": backtracks,
    "exits": lambda: os._exit(3),
    "leaves": lambda: sys.exit("I am done"),
    "crashes": reads_address_0,
    "is killed": lambda: os.kill(os.getpid(), 9),
    "takes memory": takes_memory,
    "asks for too much": asks_for_too_much,
    "closes all files": lambda: os.closerange(3, 100),
    "forks and returns": forks_and_returns,
}


def starts_a_child_and_hangs(prompts, completions, **columns):
    """Print the ids of its process and of a child, which outlives it unless it is killed too."""
    child = subprocess.Popen(["sleep", "60"])
    print(os.getpid(), child.pid, flush=True)
    backtracks()


def hangs(prompts, completions, **columns):
    backtracks()


def names_its_modules(prompts, completions, **columns):
    """Print which of some large modules its process holds."""
    print(sorted({"torch", "ray", "numpy", "rewards"} & set(sys.modules)))
    return each(completions, 1.0)


def uses_torch(prompts, completions, **columns):
    import torch

    return each(completions, float(torch.ones(4, 4).matmul(torch.ones(4, 4)).sum()))

"""The process of the user's reward functions: what reaches it, what ends it, and that another takes its place."""

import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from rewards.compose import Composer, read
from rewards.config import FunctionConfig, RewardConfig
from rewards.item import Item
from rl.faults import UserError
from rl.types import Score, Target, Task

FILE = Path(__file__).parents[1] / "builders/user_rewards.py"
HEARD: list[str] = []
LIMITS = {"memory_mb": 200}


def of_user(name: str, **limits) -> RewardConfig:
    return RewardConfig(functions=[FunctionConfig(path=f"builders.user_rewards.{name}")], **limits)


def listening(name: str, **limits) -> Composer:
    HEARD.clear()
    return Composer(of_user(name, **limits), hear=HEARD.append)


def item(text: str, target: Target | None = None) -> Item:
    return Item(id="part/7", text=text, task=Task.boxes, target=target or Target(label="normal"), question="Whole?")


def scores(composer: Composer, *texts: str) -> list[Score]:
    items = [item(text) for text in texts]
    return composer.score(items, read(items))


def value(composer: Composer, text: str) -> float | None:
    return scores(composer, text)[0].total


def place(code: str) -> str:
    """Return the place of a line of builders/user_rewards.py as sentences give it."""
    lines = FILE.read_text().splitlines()
    return f" ({FILE}:{next(number for number, line in enumerate(lines, start=1) if code in line)})"


def are_gone(pids: str) -> bool:
    """Wait until the processes have ended."""
    known = [psutil.Process(int(pid)) for pid in pids.split() if psutil.pid_exists(int(pid))]
    return not psutil.wait_procs(known, timeout=10)[1]


def test_values_arrive_bit_for_bit():
    found = [score.components["is_ragged"] for score in scores(listening("is_ragged"), "a", "b", "c", "d")]
    assert list(map(repr, found)) == ["0.30000000000000004", "0.3333333333333333", "-0.0", "7.0"]


def test_arguments_arrive_bit_for_bit():
    target = Target(label="defective", boxes=((0.1 + 0.2, 0, 1 / 3, 4.0),), options={"A": "none"})
    items = [item("ü\n'\ud800", target), item("")]
    listening("shows_arguments").score(items, read(items))
    fields = [
        {"label": "defective", "boxes": [[0.1 + 0.2, 0, 1 / 3, 4.0]], "options": {"A": "none"}},
        {"label": "normal"},
    ]
    columns = {"id": ["part/7"] * 2, "task": ["boxes"] * 2, "target": fields}
    assert HEARD == [f"reward shows_arguments: {['Whole?'] * 2} {[items[0].text, '']} {columns}"]


@pytest.fixture(scope="module")
def counting() -> Iterator[Composer]:
    yield Composer(of_user("counts_calls", **LIMITS), hear=HEARD.append)


END = "; a function of reward.functions has to return"


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("exits", f"its process exited with code 3{END}"),
        ("leaves", f"its process exited with code 1{END}"),
        ("crashes", f"its process was killed by signal 11 (Segmentation fault){END}"),
        ("is killed", f"its process was killed by signal 9 (Killed){END}"),
        ("closes all files", f"its process exited with code 1{END}"),
        ("takes memory", f"it takes more than reward.memory_mb=200 MB{place('held.append(')}"),
        ("asks for too much", f"it takes more than reward.memory_mb=200 MB{place('raise RuntimeError(')}"),
    ],
)
def test_a_call_that_ends_the_process_stays_unjudged_and_the_next_one_finds_another(counting, fault, sentence):
    check_fault(counting, fault, sentence)


@pytest.mark.parametrize("fault", ["sleeps", "backtracks"])
def test_a_call_that_hangs_ends_in_time_leaves_no_thread_and_the_next_one_finds_another_process(fault: str):
    check_fault(listening("counts_calls", timeout_s=1.0), fault, "no answer in reward.timeout_s=1 s")


def check_fault(counting: Composer, fault: str, sentence: str) -> None:
    """Expect the sentence on the answers to a call with the fault, and calls before and after it to be judged."""
    num_calls, num_threads = value(counting, "fine"), threading.active_count()
    HEARD.clear()
    began = time.monotonic()
    first, second = scores(counting, fault, "fine")
    assert time.monotonic() - began < 10
    assert first.total is None and second.total is None
    assert first.unjudged == first.faults == (f"reward counts_calls on sample part/7: {sentence}",)
    assert HEARD[0] == f"reward counts_calls: {fault} in call {num_calls + 1:g}"
    assert threading.active_count() == num_threads
    assert [value(counting, "fine"), value(counting, "fine")] == [1.0, 2.0]


def test_a_copy_that_a_function_forks_gives_no_answer_of_its_own():
    composer = listening("counts_calls", **LIMITS)
    assert [value(composer, text) for text in ("fine", "forks and returns", "fine")] == [1.0, 2.0, 3.0]


def test_a_call_that_takes_too_long_is_killed_with_the_children_it_started():
    composer = listening("starts_a_child_and_hangs", timeout_s=1.0)
    assert value(composer, "x") is None
    assert are_gone(HEARD[0].rpartition(": ")[2])


PARENT = """
from rewards.compose import Composer, read
from rewards.config import FunctionConfig, RewardConfig
from rewards.item import Item
from rl.types import Target, Task
items = [Item(id="s", text="", task=Task.boxes, target=Target(label="normal"))]
config = RewardConfig(functions=[FunctionConfig(path="builders.user_rewards.starts_a_child_and_hangs")])
Composer(config, hear=lambda line: print(line, flush=True)).score(items, read(items))
"""


def test_a_function_that_hangs_ends_with_its_parent_even_if_that_is_killed():
    env = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    with subprocess.Popen([sys.executable, "-c", PARENT], env=env, stdout=subprocess.PIPE, text=True) as parent:
        line = parent.stdout.readline()
        parent.kill()
    assert are_gone(line.rpartition(": ")[2])


def test_the_process_ends_with_its_composer():
    before = psutil.Process().children()
    composer = listening("counts_calls")
    (process,) = set(psutil.Process().children()).difference(before)
    del composer
    assert not process.is_running()


def test_ctrl_c_in_a_call_shows_no_traceback_of_the_process_and_the_next_call_is_answered():
    composer = listening("counts_calls")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            value(composer, "sleeps")
    finally:
        signal.signal(signal.SIGINT, before)
    assert HEARD == ["reward counts_calls: sleeps in call 1"]
    assert value(composer, "fine") == 1.0


def test_the_functions_stay_when_the_thread_that_loaded_them_ends():
    composers: list[Composer] = []
    thread = threading.Thread(target=lambda: composers.append(listening("counts_calls")))
    thread.start()
    thread.join()
    assert [value(composers[0], "fine"), value(composers[0], "fine")] == [1.0, 2.0]


def test_a_fork_of_the_caller_gets_a_process_of_its_own():
    composer = listening("counts_calls")
    assert value(composer, "fine") == 1.0
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(0 if value(composer, "fine") == 1.0 else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, 0)[1] == 0
    assert value(composer, "fine") == 2.0


def test_what_is_printed_without_end_is_cut():
    assert value(listening("talks_without_end"), "x") == 1.0
    long, cut = HEARD
    assert long == f"reward talks_without_end: {'x' * 2**20}"
    assert cut == f"reward talks_without_end: ({2 * 2**20 + 3} more bytes of this call are left out)"


def test_there_is_no_terminal_to_read():
    with pytest.raises(ValueError, match=rf"raised EOFError on sample part/7: .*{FILE.name}:\d+\)"):
        value(listening("reads_the_terminal"), "x")


def test_the_process_holds_no_more_than_a_function_imports():
    value(listening("names_its_modules"), "x")
    assert HEARD == ["reward names_its_modules: []"]


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("import os\nos._exit(4)", "its process exited with code 4"),
        ("x = 'x' * 2**30", r"it takes more than reward\.memory_mb=200 MB \(.*a_module\.py:1\)"),
    ],
)
def test_a_module_that_ends_the_process_is_told(code: str, sentence: str, tmp_path: Path, monkeypatch):
    (tmp_path / "a_module.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ValueError, match=rf"cannot import a_module\.f: {sentence}"):
        Composer(RewardConfig(functions=[FunctionConfig(path="a_module.f")], **LIMITS))


def test_a_module_whose_import_hangs_is_told_and_its_process_killed(tmp_path: Path, monkeypatch):
    (tmp_path / "hanging_module.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.syspath_prepend(str(tmp_path))
    before = psutil.Process().children()
    with pytest.raises(UserError) as raised:
        Composer(RewardConfig(functions=[FunctionConfig(path="hanging_module.f")], timeout_s=0.02))
    assert str(raised.value) == (
        "reward.functions: cannot import hanging_module.f: it takes more than 0.4 s, 20 times reward.timeout_s=0.02; "
        "remove what its module waits for, or give more"
    )
    assert psutil.Process().children() == before


ENDS = """
import os
def f(completions, **columns):
    return os._exit(3) if "end" in completions else [1.0]
"""


def test_a_process_whose_module_cannot_be_imported_anew_leaves_answers_unjudged_until_it_can(tmp_path, monkeypatch):
    module = tmp_path / "changing_module.py"
    module.write_text(ENDS)
    monkeypatch.syspath_prepend(str(tmp_path))
    composer = Composer(RewardConfig(functions=[FunctionConfig(path="changing_module.f")]), hear=HEARD.append)
    before = psutil.Process().children()
    assert value(composer, "end") is None
    module.write_text("import a_package_that_is_gone\n")
    (sentence,) = scores(composer, "fine")[0].faults
    assert sentence.startswith(
        "reward f on sample part/7: reward.functions: cannot import changing_module.f (ModuleNotFoundError: No module "
    )
    assert len(psutil.Process().children()) == len(before) - 1
    module.write_text(ENDS)
    assert value(composer, "fine") == 1.0


def test_a_process_for_which_the_machine_has_no_room_leaves_answers_unjudged_until_it_has():
    composer = listening("counts_calls")
    assert value(composer, "exits") is None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        (sentence,) = scores(composer, "fine")[0].faults
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert "reward.functions: their process cannot be started ([Errno 24] Too many open files); give" in sentence
    assert value(composer, "fine") == 1.0


def test_a_listener_whose_own_pipe_breaks_is_not_taken_for_the_end_of_the_process():
    def hear(line: str) -> None:
        raise BrokenPipeError(errno.EPIPE, "the reader of our output is gone")

    with pytest.raises(BrokenPipeError, match="the reader of our output is gone"):
        value(Composer(of_user("counts_calls"), hear=hear), "sleeps")


@pytest.mark.slow
def test_the_memory_by_default_is_enough_for_torch():
    assert value(Composer(of_user("uses_torch")), "x") == 64.0

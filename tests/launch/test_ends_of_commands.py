"""However a command ends, a Ray that hangs while it shuts down does not hold the process."""

import os
import subprocess
import sys

import pytest

HANGING = """
import sys, threading, time
from actors.leaving import LEAVING
from launch.__main__ import COMMANDS, Command, main

def end(argv):
    # No daemon: Python's own end would wait for it.
    threading.Thread(target=time.sleep, args=(60,), name=LEAVING).start()
    print("began")
    {how}

COMMANDS["end"] = Command(summary="", run=end)
sys.argv = ["assay", "end"]
sys.exit(main())
"""


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("return 3", 3, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(130)", 130, ""),
        ("sys.exit('no such file')", 1, "no such file\n"),
        ("raise KeyboardInterrupt", 130, "assay: stopped\n"),
        ("raise KeyError('x')", 1, "KeyError: 'x'\n"),
    ],
)
def test_every_end_of_a_command_leaves_a_ray_that_hangs(how: str, code: int, told: str):
    ended = subprocess.run(
        [sys.executable, "-c", HANGING.format(how=how)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (ended.returncode, ended.stdout) == (code, "began\n")
    assert ended.stderr.endswith(told) and bool(ended.stderr) == bool(told)


def test_so_does_one_whose_output_nobody_reads():
    reader, writer = os.pipe()
    os.close(reader)
    ended = subprocess.run(
        [sys.executable, "-c", HANGING.format(how="return 0")],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )
    os.close(writer)
    assert (ended.returncode, ended.stderr) == (141, "")

"""The sentence for an exception that ends a run, and crash.txt, which keeps the traceback of a bug."""

import re
import sys
import traceback
from pathlib import Path

from rl.faults import AssayError, is_bug, named, one_line

CRASH = "crash.txt"
COLOUR = re.compile(r"\x1b\[\d+m")
"""Colours that Ray puts into the tracebacks of actors."""


def sentence_of(error: Exception, folder: str) -> str:
    """Return the sentence for an error; show the traceback of a bug and keep it in the folder, if there is one."""
    if not is_bug(error):
        return one_line(error)
    told = one_line(error) if isinstance(error, AssayError) else f"a bug of Assay ({named(error)})"
    whole = COLOUR.sub("", "".join(traceback.format_exception(error)))
    print(whole, file=sys.stderr, flush=True)
    if not (folder and Path(folder).is_dir()):
        return f"{told}; please report it with the traceback above"
    crash = Path(folder) / CRASH
    try:
        crash.write_text(whole, encoding="utf-8", errors="replace")
    except OSError as cause:
        return f"{told}; please report it with the traceback above, which could not be kept ({cause})"
    return f"{told}; its traceback is in {crash}; please report it with that file"

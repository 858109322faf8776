"""What W&B recorded of an offline run, read from its own file."""

import time
from pathlib import Path

from wandb.proto.wandb_internal_pb2 import Record

BLOCK, WHOLE, LAST = 32 * 1024, 1, 4


def whole_records(run: Path) -> list[Record]:
    """All of a run that has finished."""
    (recorded,) = (run / "wandb").glob("offline-run-*/*.wandb")
    deadline = time.monotonic() + 20
    while not any(record.HasField("exit") for record in records(recorded)) and time.monotonic() < deadline:
        time.sleep(0.05)  # W&B's own process writes the end of the file
    return records(recorded)


def records(path: Path) -> list[Record]:
    """Return the records that W&B would upload, from LevelDB's log: pieces in blocks of 32 KiB, a header of 7 bytes."""
    data, at, pieces, found = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # too little room for another piece
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if at + 7 + length > len(data):  # still being written
            break
        pieces += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (WHOLE, LAST):
            found.append(Record.FromString(pieces))
            pieces = b""
    return found

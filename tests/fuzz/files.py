"""Read hostile files, each made from a seed: what comes of one is a correct reading or one sentence.

`python -m tests.fuzz.files --count 100000 --seed 0` tries the seeds from 0 on and prints one JSON line of figures;
`--count 1 --seed N` repeats one of them.
"""

import argparse
import io
import json
import os
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

import numpy as np
import yaml

from conf.schema import ScoreConfig
from launch.score import main as score
from rewards.presets import preset
from rl.data.annotations import read_notes
from rl.data.images import decoded_size, open_image, open_mask, stated_size
from rl.data.knowledge.entries import read_mmad
from rl.data.knowledge.entries import read_yaml as read_knowledge
from rl.data.lessons import read_lessons
from rl.documents import read_json, read_yaml
from rl.faults import UserError, named
from tests.fuzz.pictures import picture
from tests.fuzz.texts import YAML_TOKENS, as_json, as_yaml, spoilt, text, value

LIMIT_S = 10.0
"""Longest time of a case; most take milliseconds."""
MOST_SENTENCE = 700
READ, REFUSED = "read", "refused"
IMAGES = {"test/good/0.png": True, "test/bent/0.png": False, "test/bent/1.png": False}
"""Images that annotations may name, each with True if it is normal."""
REFERENCES = ("train/good/0.png", "train/good/../1.png", "../1.png", "/etc/hostname", "out/1.png", "loop", "\0", ".")
BOXES = ([0, 0, 4, 5], [0, 0, 1e300, 1e300], [4, 0, 0, 5], [0, 0, True, 1], [0, 0, 10**400, 1], [[0], 0, 1, 1], "box")


@dataclass(frozen=True)
class Failure:
    """A case that was neither read correctly nor refused in a sentence."""

    seed: int
    kind: str
    why: str


class TookTooLong(BaseException):
    """The end of a case that ran for LIMIT_S; not an Exception, so that no reader takes it for damage."""


def try_seeds(seeds: Sequence[int]) -> tuple[Counter[str], list[Failure], tuple[float, int]]:
    """Return how many cases had each outcome, those that failed, and the seconds and the seed of the slowest."""
    counts: Counter[str] = Counter()
    failures, slowest = [], (0.0, 0)
    with warnings.catch_warnings():
        # Pillow warns of damaged metadata.
        warnings.simplefilter("ignore")
        for seed in seeds:
            began = time.perf_counter()
            kind, outcome = try_seed(seed)
            slowest = max(slowest, (time.perf_counter() - began, seed))
            counts[outcome if outcome in (READ, REFUSED) else "failed"] += 1
            if outcome not in (READ, REFUSED):
                failures.append(Failure(seed, kind, outcome))
    return counts, failures, slowest


def try_seed(seed: int) -> tuple[str, str]:
    """Return the kind of a case and its outcome: READ, REFUSED, or what is wrong."""
    rng = Random(seed)
    kind = rng.choice(tuple(KINDS))
    with TemporaryDirectory() as name:
        folder = Path(name).resolve()
        try:
            with time_limit(LIMIT_S):
                KINDS[kind](rng, folder)
            return kind, READ
        except (UserError, OSError) as error:
            return kind, fault_of_sentence(str(error), folder) or REFUSED
        except TookTooLong:
            return kind, f"took more than {LIMIT_S:g} s"
        except Exception as error:  # noqa: BLE001
            # Whatever it is, it would have been a traceback.
            return kind, named(error)[:300]


def fault_of_sentence(sentence: str, folder: Path) -> str:
    """Return what is wrong with the sentence that refuses a file below the folder; "" for nothing."""
    if str(folder) not in sentence:
        return f"names no file: {sentence[:300]}"
    if len(sentence.splitlines()) != 1:
        return f"is no single line: {sentence[:300]!r}"
    return f"is of {len(sentence)} letters" if len(sentence) > MOST_SENTENCE else ""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLong after so many seconds, even while a system call waits; keep the timer of pytest's timeout."""

    def end(number: int, frame: FrameType | None) -> None:
        raise TookTooLong

    handler = signal.signal(signal.SIGALRM, end)
    timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *timer)


def read_any_json(rng: Random, folder: Path) -> None:
    told = value(rng)
    whole = as_json(rng, told)
    path = written(folder / "any.json", spoilt(rng, whole))
    found = must_read(read_json, path) if path.read_bytes() == whole else read_json(path)
    assert found == json.loads(path.read_bytes(), object_pairs_hook=each_key_once)


def read_any_yaml(rng: Random, folder: Path) -> None:
    told = value(rng)
    whole = as_yaml(rng, told)
    path = written(folder / "any.yaml", spoilt(rng, whole, YAML_TOKENS))
    if path.read_bytes() == whole:
        assert must_read(read_yaml, path) == told
    else:
        # As text: .nan is not equal to itself.
        assert repr(read_yaml(path)) == repr(yaml.safe_load(path.read_bytes().decode()))


def read_any_notes(rng: Random, folder: Path) -> None:
    (folder / "out").symlink_to(folder.parent)
    (folder / "loop").symlink_to(folder / "loop")
    fields: dict[str, Callable[[], Any]] = {
        "reference": lambda: rng.choice(REFERENCES),
        "boxes": lambda: rng.choices(BOXES[:3] if rng.random() < 0.5 else BOXES, k=rng.randrange(3)),
        "labels": lambda: [text(rng)] * rng.randrange(3),
        "rationale": lambda: text(rng),
        "lables": lambda: value(rng, 2),
    }
    names = rng.sample((*IMAGES, "test/bent/\n.png"), rng.randrange(1, 4))
    entries = {name: {key: fields[key]() for key in rng.sample(tuple(fields), rng.randrange(3))} for name in names}
    path = written(folder / "annotations.json", spoilt(rng, as_json(rng, entries)))
    for note in read_notes(folder, IMAGES).values():
        assert Path(os.path.abspath(folder / note.reference)).is_relative_to(folder)
        assert ".." not in note.reference.split("/")
        assert all(0 <= x1 < x2 and 0 <= y1 < y2 for x1, y1, x2, y2 in note.boxes)
    json.loads(path.read_bytes(), object_pairs_hook=each_key_once)


def read_any_lessons(rng: Random, folder: Path) -> None:
    lines = [
        as_json(rng, {"id": text(rng) + str(number), "chosen": text(rng) or "x", "rejected": rng.choice(("y", 3, ""))})
        for number in range(rng.randrange(4))
    ]
    path = written(folder / "lessons.jsonl", spoilt(rng, b"\n".join(line.replace(b"\n", b"") for line in lines)))
    read_lessons(path, with_rejected=rng.random() < 0.5)


def read_any_knowledge(rng: Random, folder: Path) -> None:
    told: Any = {"good": text(rng) or "Even.", "cut": f"<Cut> {text(rng)}", text(rng): value(rng, 1)}
    told = {text(rng) or "d": {text(rng) or "o": told}}
    if rng.random() < 0.5:
        read_mmad(written(folder / "k.json", spoilt(rng, as_json(rng, told))))
    else:
        read_knowledge(written(folder / "k.yaml", spoilt(rng, as_yaml(rng, told), YAML_TOKENS)))


def score_any_answers(rng: Random, folder: Path) -> None:
    fields: dict[str, Callable[[], Any]] = {
        "target": lambda: {"label": rng.choice(("normal", "defective", 3)), "boxes": rng.choices(BOXES, k=2)},
        "task": lambda: rng.choice(("yes_no", "boxes", "choice", "grid", ["grid"], "x")),
        "image_size": lambda: rng.choice(([9, 9], [10**300, 1], [True, 1], [0, 1], value(rng, 1))),
        "agreement": lambda: value(rng, 1),
        "num_tokens": lambda: value(rng, 1),
        "question": lambda: value(rng, 1),
    }
    lines = []
    for number in range(rng.randrange(1, 4)):
        line = {"id": number, "completion": f"<think>{text(rng)}</think><answer>{text(rng)}</answer>", "target": {}}
        line |= {key: fields[key]() for key in rng.sample(tuple(fields), rng.randrange(4))}
        lines.append(as_json(rng, line).replace(b"\n", b""))
    path = written(folder / "answers.jsonl", spoilt(rng, b"\n".join(lines)))
    reward, said = preset(rng.choice(("mmr_ad", "yes_no", "dcr2ad", "cgro"))).config, io.StringIO()
    with redirect_stderr(said), (folder / "out.txt").open("w") as out, redirect_stdout(out):
        score(ScoreConfig(reward=reward, input=str(path), output=str(folder / "scores.jsonl")))
    scores = [json.loads(line) for line in (folder / "scores.jsonl").read_text().split("\n")[:-1]]
    summary = json.loads((folder / "out.txt").read_text())
    sentences = said.getvalue().split("\n")[:-1]
    assert (summary["scored"], summary["bad_lines"]) == (len(scores), len(sentences))
    assert not any(fault_of_sentence(sentence, folder) for sentence in sentences), sentences


def open_any_picture(rng: Random, folder: Path) -> None:
    drawn = picture(rng, folder)
    if drawn.seen is None:
        check_agreement(drawn.path)
    else:
        must_read(check_agreement, drawn.path)
        assert np.array_equal(np.asarray(open_image(drawn.path)), drawn.seen)
    assert not drawn.is_refused, "was read"


def check_agreement(path: Path) -> None:
    """Check that all that is told of an image agrees."""
    image, size = open_image(path), stated_size(path)
    height, width = open_mask(path).shape
    assert image.mode == "RGB"
    assert image.size == size == (width, height) == decoded_size(path)


KINDS: dict[str, Callable[[Random, Path], None]] = {
    "json": read_any_json,
    "yaml": read_any_yaml,
    "annotations": read_any_notes,
    "lessons": read_any_lessons,
    "knowledge": read_any_knowledge,
    "answers": score_any_answers,
    "picture": open_any_picture,
}


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def must_read(read: Callable[[Path], Any], path: Path) -> Any:
    """Return what is read of a file in order; that it is refused is a failure."""
    try:
        return read(path)
    except (UserError, OSError) as error:
        raise AssertionError(f"refused: {error}") from error


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    assert len(dict(pairs)) == len(pairs), "a key stands twice"
    return dict(pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="number of cases")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first case; the next has the next number")
    options = parser.parse_args()
    began = time.perf_counter()
    counts, failures, slowest = try_seeds(range(options.seed, options.seed + options.count))
    for failure in failures:
        print(f"--count 1 --seed {failure.seed}: {failure.kind}: {failure.why}", file=sys.stderr)
    figures = {
        "cases": options.count,
        "seed": options.seed,
        "read": counts[READ],
        "refused": counts[REFUSED],
        "failed": len(failures),
        "failed_seeds": [failure.seed for failure in failures][:20],
        "slowest_s": round(slowest[0], 3),
        "slowest_seed": slowest[1],
        "seconds": round(time.perf_counter() - began, 1),
    }
    print(json.dumps(figures))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())

"""Hostile answers of a model, made from seeds, judged by every reward: none may raise or leave its range.

`python -m tests.fuzz.answers --count 1000000` tries more of them; a failure is printed with the seed that repeats it.
"""

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import isfinite
from pathlib import Path

from rewards.compose import Composer, component_range, read, reward_range
from rewards.item import Item
from rewards.presets import PRESETS, tasks_of
from rl.types import Score, Target, Task

KEPT = Path(__file__).with_name("kept_answers.jsonl")
"""Answers that broke something once, with their tasks."""
BATCH = 250
SIZE = (112, 100)
TARGET = Target(
    label="defective",
    boxes=((10, 30, 60, 45), (70, 82, 90, 99)),
    box_labels=("scratch", "hole"),
    option="B",
    options={"A": "Hole.", "B": "Scratch.", "C": "Stain."},
    cells=frozenset({(3, 7), (4, 0)}),
    rationale="A scratch runs along the edge.",
    knowledge="Scratch",
    offered=("Scratch", "Hole"),
)
IN_FORM = {
    Task.yes_no: ["<think>Even.</think><answer>No.</answer>", "<think>A scratch.</think>\n<answer>Yes</answer>"],
    Task.boxes: [
        "<think>Marks.</think><answer>Yes. {'bbox_2d': [12, 30, 58, 44], 'label': 'scratch'}, "
        "{'bbox_2d': [70, 80, 88.5, 99], 'label': \"pill's edge\"}</answer>",
        "<think>Even.</think><answer>No.</answer>",
    ],
    Task.choice: [
        "<think>Not A; so it is option B.</think><answer>B</answer>",
        "<knowledge>Pins are straight.</knowledge><think>Bent.</think><answer>(C)</answer>",
    ],
    Task.routed: [
        "<knowledge>Scratch: a line, not a hole.</knowledge><think>A line.</think><answer>B</answer>",
        " <knowledge>Hole</knowledge>\n<think></think>\n<answer>(a)</answer>",
    ],
    Task.grid: ["<seg>(3,7)-(3,8), (4,0)</seg><think>Hence (A).</think><answer>A</answer>"],
    Task.grounding: [
        '<think>Left.</think><answer>[{"bbox_2d": [1, 2, 30, 40], "label": "cup"}]</answer>',
        '<think>Left.</think><answer>```json\n{"label": "a \\"cup\\"", "bbox_2d": [1, 2.5, 30, 40]}\n```</answer>',
    ],
}
PIECES = (
    "<think>|</think>|<answer>|</answer>|<seg>|</seg>|<knowledge>|</knowledge>|Scratch|Hole|Yes|No|B|{|}|[|]|(|)|,|-|–|:|'|\"|\\|"
    "'bbox_2d'|\"label\"|```|1e9|-1|99999999|nan| |\n|\t|\x00|é|٤|\ud800|😀|</think|<answer"
).split("|")
STRANGE = (
    *("1e400", "-Infinity", "NaN", "9" * 400, "0x1F", "1_000", "٣", "½", "−5", "1,5", "1e-400"),
    *("\u202e", "\u200b", "\ufeff", "\u2028", "\x1b[31m", "\r", "\x85", "İ", "ﬁ", "ß", "\U000e0041", "\udfff"),
    *("</script><script>alert(1)</script>", "<img src=x onerror=alert(1)>", "${jndi:ldap://x}", "{{7*7}}", "%s%n"),
    *("<think><think>", "</answer></answer>", "<ANSWER>", "< answer >", "<answer/>", "&lt;answer&gt;", "<!--", "]]>"),
    *("[[[[", "{{{{", '{"bbox_2d":', "'bbox_2d': [", "(((", "(1,2)-(", "\\\\", '\\"', "\\u", "'''", "```json"),
    *("yes no", "no yes", "not defective", "is not no defect", "Ja", "はい", "A B C D", "(A)(B)", "A/B", "option"),
)
"""Pieces that no form has: numbers, invisible letters, markup, brackets that never close, two answers at once."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An answer that broke something."""

    seed: int
    preset: str
    fault: str


def mutated(text: str, rng: random.Random, pieces: Sequence[str] = PIECES) -> str:
    """Return the text with some pieces inserted, cut out or doubled."""
    for _ in range(rng.randrange(6)):
        start = rng.randrange(len(text) + 1)
        end = start + rng.choice((0, 0, 1, 3, 40))
        piece = rng.choice(pieces) if rng.random() < 0.7 else text[start:end] * 2
        text = text[:start] + piece + text[end:]
    return text


def _repeated(text: str, rng: random.Random) -> str:
    """Repeat a piece of the text, or one that is strange, up to some thousand characters."""
    piece = rng.choice([rng.choice(STRANGE), rng.choice(PIECES), text[: rng.randrange(1, len(text) + 1)]]) or "x"
    start = rng.randrange(len(text) + 1)
    return text[:start] + piece * rng.randrange(1, 1 + 3000 // len(piece)) + text[start:]


def _noise(text: str, rng: random.Random) -> str:
    """Return random characters, from all planes or from those of the forms, around a tag or two."""
    letters = [chr(rng.choice([rng.randrange(128), rng.randrange(0x3000), rng.randrange(0x110000)])) for _ in range(60)]
    letters += [rng.choice(PIECES + list(STRANGE)) for _ in range(10)]
    rng.shuffle(letters)
    return "".join(letters)


def _strange(text: str, rng: random.Random) -> str:
    return mutated(mutated(text, rng, STRANGE), rng)


WAYS: tuple[Callable[[str, random.Random], str], ...] = (mutated, mutated, _strange, _strange, _noise, _repeated)


def answer(seed: int) -> tuple[Task, str]:
    """Return the task and the text that belong to a seed."""
    rng = random.Random(seed)
    task = rng.choice(list(Task))
    return task, rng.choice(WAYS)(rng.choice(IN_FORM[task]), rng)


def kept() -> list[tuple[Task, str]]:
    lines = [json.loads(line) for line in KEPT.read_text(encoding="utf-8").splitlines()]
    return [(Task[line["task"]], line["text"] * line.get("times", 1)) for line in lines]


@cache
def composers(task: Task) -> dict[str, Composer]:
    """Return the reward of each preset that judges the task, by name; without the sentence encoder, for its speed."""
    configs = {name: preset.config for name, preset in PRESETS.items() if task in tasks_of(preset.config)}
    unread = {name: replace(config.domain, weight=None) for name, config in configs.items()}
    return {name: Composer(replace(config, domain=unread[name])) for name, config in configs.items()}


def faults_of(task: Task, texts: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    """Yield (index of the text, preset, fault) of each text that a reward does not judge as it should."""
    for name, composer in composers(task).items():
        for index, judged in enumerate(_judgements(composer, task, texts)):
            fault = judged if isinstance(judged, str) else _fault_of(judged, reward_range(PRESETS[name].config))
            if fault:
                yield index, name, fault


def _judgements(composer: Composer, task: Task, texts: Sequence[str]) -> list[Score | str]:
    """Return each text's score, or the exception that it raised."""
    items = [
        Item(id="s", text=text, task=task, target=TARGET, image_size=SIZE, num_tokens=9, agreement=0.5)
        for text in texts
    ]
    try:
        return list(composer.score(items, read(items)))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        if len(texts) == 1:
            return [f"{type(error).__name__}: {error}"]
        return [judged for text in texts for judged in _judgements(composer, task, [text])]


def _fault_of(score: Score, ends: tuple[float, float]) -> str:
    """Say what is wrong with a score; "" for nothing."""
    outside = [name for name, value in score.components.items() if not _is_in_range(name, value)]
    if outside:
        return f"{outside[0]} is {score.components[outside[0]]}"
    if score.total is None or not _lowest(ends) - 1e-9 <= score.total <= ends[1] + 1e-9:
        return f"the total is {score.total}"
    if not all(fault.isprintable() and len(fault) < 1000 for fault in score.malformed):
        return f"its faults cannot be shown: {score.malformed!r:.200}"
    return ""


def _is_in_range(component: str, value: float | None) -> bool:
    ends = component_range(component)
    return value is None or isfinite(value) and (ends is None or _lowest(ends) <= value <= ends[1])


def _lowest(ends: tuple[float, float]) -> float:
    """Return the lowest value that a range allows here: a penalty is for each true box."""
    return min(ends[0], ends[0] * len(TARGET.boxes))


def failures(seeds: range) -> list[Failure]:
    """Judge the answers of all seeds."""
    found = []
    by_task: dict[Task, list[tuple[int, str]]] = {task: [] for task in Task}
    for seed in seeds:
        task, text = answer(seed)
        waiting = by_task[task]
        waiting.append((seed, text))
        if len(waiting) == BATCH:
            found += _judged(task, waiting)
            waiting.clear()
    return found + [failure for task, waiting in by_task.items() for failure in _judged(task, waiting)]


def _judged(task: Task, waiting: Sequence[tuple[int, str]]) -> list[Failure]:
    faults = faults_of(task, [text for _, text in waiting])
    return [Failure(seed=waiting[index][0], preset=preset, fault=fault) for index, preset, fault in faults]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="number of answers")
    parser.add_argument("--seed", type=int, default=0, help="first seed")
    given = parser.parse_args()
    start = time.perf_counter()
    found = failures(range(given.seed, given.seed + given.count))
    for failure in found:
        print(f"--seed {failure.seed} --count 1: {failure.preset}: {failure.fault}: {answer(failure.seed)}")
    seconds = round(time.perf_counter() - start, 1)
    print(json.dumps({"answers": given.count, "presets": len(PRESETS), "failures": len(found), "seconds": seconds}))
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())

"""Speed of rewards: `python -m benchmarks.rewards` prints one line of JSON; about two minutes on two cores."""

import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from statistics import median

import rl.import_fixes  # noqa: F401

import torch
from sentence_transformers import SentenceTransformer

from rewards.accuracy import accuracy_reward
from rewards.answers.parse import Answer, parse_answer
from rewards.box import box_reward
from rewards.domain import Embedder, domain_rewards, packaged_model
from rewards.format import format_reward
from rl.types import Target, Task

SIZE = (448, 448)
NUM_ANSWERS = 4000
NUM_GROUPS, GROUP_SIZE = 8, 16
"""JUDO's prompts a batch and completions a prompt."""
BATCH_SIZES = (4, 8, 16, 32, 64)
ROUNDS = 5
WORKERS = (1, 2)
WORDS = (
    "the a reference image shows an even surface while in the inspected part there is dark long scratch small round "
    "hole stain near upper left right lower edge corner it crosses several threads and differs clearly from normal "
    "sample pin bent leaning wood grain fabric cable wire missing so this region looks defective intact"
).split()

Case = tuple[str, Target]


def main() -> None:
    # A reward worker has one core; spinning threads would count as processor time.
    torch.set_num_threads(1)
    rng = random.Random(0)
    cases = [_case(rng) for _ in range(NUM_ANSWERS)]
    seconds = min(_seconds(partial(_score, cases)) for _ in range(ROUNDS))
    print(json.dumps({"completions_per_s": round(NUM_ANSWERS / seconds), **_domain(rng), **_by_workers()}))


def _score(cases: Sequence[Case]) -> None:
    for text, target in cases:
        answer = parse_answer(text, Task.boxes, SIZE)
        format_reward(answer)
        accuracy_reward(answer, target)
        box_reward(answer, target)


def _domain(rng: random.Random) -> dict[str, float]:
    """Time the similarity reward and the bare encoder in turns, on the same distinct texts."""
    encoder, embedder = SentenceTransformer(str(packaged_model()), device="cpu"), Embedder()
    batch_size = _best_batch_size(encoder, rng)
    ratios, rates = [], []
    for number in range(ROUNDS):
        answers, targets = _group_texts(rng)
        texts = list({answer.think for answer in answers} | {target.rationale for target in targets})
        tasks = [
            partial(encoder.encode, texts, batch_size=batch_size, show_progress_bar=False),
            partial(domain_rewards, answers, targets, embedder),
        ]
        # The second one finds warmer caches or a busier machine, so they swap places.
        turns = (0, 1) if number % 2 else (1, 0)
        seconds = {turn: _seconds(tasks[turn]) for turn in turns}
        ratios.append(seconds[0] / seconds[1])
        rates.append(len(texts) / seconds[1])
    return {
        "domain_texts_per_s": round(median(rates), 1),
        "domain_to_encoder_alone": round(median(ratios), 3),
        "encoder_batch_size": batch_size,
    }


def _best_batch_size(encoder: SentenceTransformer, rng: random.Random) -> int:
    texts = [_prose(rng) for _ in range(64)]
    encoder.encode(texts[:16])
    times = {
        size: min(_seconds(partial(encoder.encode, texts, batch_size=size, show_progress_bar=False)) for _ in range(2))
        for size in BATCH_SIZES
    }
    return min(BATCH_SIZES, key=lambda size: times[size])


def _by_workers() -> dict[str, dict[int, float]]:
    """Measure the pairs judged per second by one and by several processes, each with its own encoder."""
    rates = {}
    for count in WORKERS:
        with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
            list(pool.map(_judge_pairs, range(count)))
            start = time.perf_counter()
            judged = sum(pool.map(_judge_pairs, range(count, 3 * count)))
            rates[count] = round(judged / (time.perf_counter() - start), 1)
    return {"domain_pairs_per_s_by_workers": rates}


EMBEDDERS: list[Embedder] = []
"""Embedder of a worker process, once it has started."""


def _start_worker() -> None:
    torch.set_num_threads(1)
    EMBEDDERS.append(Embedder())


def _judge_pairs(seed: int) -> int:
    answers, targets = _group_texts(random.Random(seed))
    return len(domain_rewards(answers, targets, EMBEDDERS[0]))


def _group_texts(rng: random.Random) -> tuple[list[Answer], list[Target]]:
    targets = [Target(label="", rationale=_prose(rng)) for _ in range(NUM_GROUPS)]
    return [Answer(think=_prose(rng)) for _ in targets for _ in range(GROUP_SIZE)], [
        target for target in targets for _ in range(GROUP_SIZE)
    ]


def _case(rng: random.Random) -> Case:
    """Make a target and an answer like a trained model's; one answer in ten is malformed."""
    said, true = (rng.randrange(4) if rng.random() < 0.5 else 0 for _ in range(2))
    boxes = ", ".join(f"{{'bbox_2d': {_box(rng)}, 'label': '{rng.choice(WORDS)}'}}" for _ in range(said))
    text = f"<think>{_prose(rng)}</think><answer>{f'Yes. {boxes}' if said else 'No.'}</answer>"
    if rng.random() < 0.1:
        text = text[: rng.randrange(len(text))]
    label = "defective" if true else "normal"
    return text, Target(label=label, boxes=tuple((x, y, z, w) for x, y, z, w in (_box(rng) for _ in range(true))))


def _box(rng: random.Random) -> list[int]:
    x, y = rng.randrange(400), rng.randrange(400)
    return [x, y, x + rng.randint(4, 48), y + rng.randint(4, 48)]


def _prose(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(30, 100))).capitalize() + "."


def _seconds(work: Callable[[], object]) -> float:
    """Return the processor seconds of the work, which other programs on the machine hardly change."""
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()

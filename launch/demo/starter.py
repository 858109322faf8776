"""Build the demo's starter from random weights: `python -m launch.demo.starter`; half an hour on two cores.

The starter first learns to see from careful annotators: plain defects, then faint ones. Then it learns to answer like
busy annotators, who miss many defects, most often faint ones, imagine some, draw boxes loosely and sometimes leave
them out. It still sees what it learned to see before, and reinforcement learning, whose rewards know the truth, brings
that out.

--forms trains that starter further, in the same two phases, to choose among options and to mark cells; --yes-no, to say
yes or no about one image; --routed trains the starter of --forms to choose a piece of knowledge first.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import rl.import_fixes  # noqa: F401

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, IterableDataset
from transformers import Qwen2_5_VLForConditionalGeneration

from actors.model import PolicyModel
from launch.demo.untrained import CELLS, CHOICE_FORM, ROUTED_FORM, write_forms, write_untrained
from rl.asking import write_asking
from rl.batching import GroupBatch, to_batch
from rl.data.config import DataConfig, Instructions
from rl.data.demo.annotators import Annotators
from rl.data.demo.synthesis import CONTRASTS, DEFECTS, KNOWN, MATERIALS, Part, make_part
from rl.data.knowledge.entries import GOOD, NORMAL_NAME, Entry, object_agnostic, with_knowledge
from rl.data.prompts import PromptBuilder
from rl.data.questions import QUESTIONS, WITH_OPTIONS, kind_text, options_of, with_options
from rl.loss import sft_loss
from rl.types import DEFECTIVE, NORMAL, Completion, Group, Sample, Target, Task
from rl.verl_core import Scale

STARTER, FORMS, YES_NO, ROUTED = (
    Path("models") / name for name in ("starter", "starter_forms", "starter_yes_no", "starter_routed")
)
DATA = DataConfig(instructions=Instructions.none)
WARMUP_STEPS = 50
PLAIN = (0.25, 0.6)
BUSY = Annotators(faintest_found=0.3, strongest_found=0.8, false_alarms=0.08, looseness=5.0, lapses=0.3)
BUSY_CHOOSING = replace(BUSY, looseness=4.0, lapses=0.2, slips=0.15, haste=0.25)


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Part of a training with one mix of defects, annotators and tasks."""

    num_steps: int
    lr: tuple[float, float]
    """Learning rate at the start, after the warm-up, and at the end; linear in between."""
    defective_share: float
    contrasts: tuple[float, float]
    annotators: Annotators
    tasks: tuple[Task, ...] = (Task.boxes,)
    """Tasks of the lessons, in turn."""
    batch_size: int = 64

    def lr_at(self, step: int) -> float:
        first, last = self.lr
        return min(1.0, (step + 1) / WARMUP_STEPS) * (first + (last - first) * step / self.num_steps)


CURRICULUM = (
    Phase(num_steps=250, lr=(2e-3, 2e-3), defective_share=0.8, contrasts=PLAIN, annotators=Annotators()),
    Phase(num_steps=450, lr=(2e-3, 5e-5), defective_share=0.6, contrasts=CONTRASTS, annotators=Annotators()),
    Phase(num_steps=350, lr=(1e-3, 3e-5), defective_share=0.5, contrasts=CONTRASTS, annotators=BUSY),
)
ALL_FORMS = (Task.choice, Task.grid, Task.choice, Task.grid, Task.boxes)
FORMS_CURRICULUM = (
    Phase(
        num_steps=430,
        lr=(2e-3, 1e-3),
        defective_share=0.6,
        contrasts=CONTRASTS,
        annotators=Annotators(),
        tasks=ALL_FORMS,
        batch_size=32,
    ),
    Phase(
        num_steps=170,
        lr=(8e-4, 3e-5),
        defective_share=0.5,
        contrasts=CONTRASTS,
        annotators=BUSY_CHOOSING,
        tasks=ALL_FORMS,
        batch_size=32,
    ),
)
YES_NO_CURRICULUM = (
    Phase(
        num_steps=180,
        lr=(1e-3, 5e-4),
        defective_share=0.5,
        contrasts=CONTRASTS,
        annotators=Annotators(),
        tasks=(Task.yes_no,),
    ),
    Phase(
        num_steps=120,
        lr=(5e-4, 3e-5),
        defective_share=0.5,
        contrasts=CONTRASTS,
        annotators=replace(BUSY, lapses=0.0),
        tasks=(Task.yes_no,),
    ),
)


ROUTED_CURRICULUM = (
    Phase(
        num_steps=360,
        lr=(2e-3, 1e-3),
        defective_share=0.7,
        contrasts=CONTRASTS,
        annotators=Annotators(),
        tasks=(Task.routed,),
        batch_size=32,
    ),
    Phase(
        num_steps=140,
        lr=(8e-4, 3e-5),
        defective_share=0.6,
        contrasts=CONTRASTS,
        annotators=replace(BUSY, slips=0.2),
        tasks=(Task.routed,),
        batch_size=32,
    ),
)


class Lessons(IterableDataset[GroupBatch]):
    """Batches of a phase, drawn as they are needed."""

    def __init__(self, folder: Path, phase: Phase, seed: list[int]) -> None:
        self._folder = folder
        self._phase = phase
        self._seed = seed

    def __iter__(self) -> Iterator[GroupBatch]:
        builder, rng = PromptBuilder(str(self._folder), DATA), np.random.default_rng(self._seed)
        for _ in range(self._phase.num_steps):
            yield to_batch([self._lesson(builder, rng, number) for number in range(self._phase.batch_size)])

    def _lesson(self, builder: PromptBuilder, rng: np.random.Generator, number: int) -> Group:
        """Make a part and let the phase's annotators answer; return a group of one."""
        task = self._phase.tasks[number % len(self._phase.tasks)]
        material = str(rng.choice(list(MATERIALS)))
        defect = str(rng.choice(DEFECTS)) if rng.random() < self._phase.defective_share else None
        part = make_part(rng, material, defect, self._phase.contrasts)
        annotators = self._phase.annotators
        num_images = 1 if task is Task.yes_no else 2
        options = options_of(DEFECTS, f"lesson/{rng.integers(2**32)}") if task in WITH_OPTIONS else {}
        sample = Sample(
            id="lesson",
            images=(Path("reference"), Path("query"))[-num_images:],
            question=with_options(QUESTIONS[task], options) if options else QUESTIONS[task],
            target=Target(label=DEFECTIVE if defect else NORMAL, options=options),
            category=material,
            task=task,
        )
        if task is Task.routed:
            sample, text = _routed(rng, part, sample, annotators)
        else:
            text = annotators.choose(rng, part, options, task) if options else annotators.answer(rng, part, task)
        tokens = builder.encode_answer(text)
        return Group(
            prompt=builder.assemble(
                sample, [Image.fromarray(view) for view in (part.reference, part.query)][-num_images:]
            ),
            completions=(
                Completion(
                    token_ids=tokens, text=text, logprobs=(0.0,) * len(tokens), finish_reason="stop", policy_version=0
                ),
            ),
        )


def _routed(rng: np.random.Generator, part: Part, sample: Sample, annotators: Annotators) -> tuple[Sample, str]:
    """Add all knowledge of the part's material to the question; return the sample and the annotators' answer."""
    entries = object_agnostic(
        Entry(
            dataset="Demo",
            object=part.material,
            defect=kind,
            name=NORMAL_NAME if kind == GOOD else kind_text(kind).capitalize(),
            text=text.format(part.material),
        )
        for kind, text in KNOWN.items()
    )
    shown = [entries[index] for index in rng.permutation(len(entries))]
    return replace(sample, question=with_knowledge(sample.question, shown)), annotators.route(
        rng, part, sample, entries
    )


def train(folder: Path, curriculum: tuple[Phase, ...], seed: int) -> list[float]:
    """Train the checkpoint in `folder` in place; return the loss of every step."""
    hf = Qwen2_5_VLForConditionalGeneration.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model = PolicyModel(hf, temperature=1.0, banned_token_ids=())
    optimizers = _optimizers(model)
    losses: list[float] = []
    for number, phase in enumerate(curriculum, start=1):
        # `assay data` seeds with two numbers; three, the last above 0, draw none of its parts.
        lessons = DataLoader(Lessons(folder, phase, [seed, 0, number]), batch_size=None, num_workers=1)
        start = time.perf_counter()
        for step, batch in enumerate(lessons):
            losses.append(_learn(model, optimizers, batch, phase.lr_at(step)))
            if (step + 1) % 50 == 0:
                rate = phase.batch_size * (step + 1) / (time.perf_counter() - start)
                print(f"phase {number} step {step + 1} loss {np.mean(losses[-50:]):.4f} {rate:.0f}/s", flush=True)
    hf.save_pretrained(folder)
    return losses


def _optimizers(model: PolicyModel) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices, which is many times faster here than AdamW alone, and AdamW for the rest."""
    named = [(name, parameter) for name, parameter in model.hf.named_parameters()]
    matrices = [parameter for name, parameter in named if parameter.ndim == 2 and "embed_tokens" not in name]
    others = [parameter for name, parameter in named if parameter.ndim != 2 or "embed_tokens" in name]
    return [
        torch.optim.Muon(matrices, weight_decay=0.0, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def _learn(model: PolicyModel, optimizers: list[torch.optim.Optimizer], batch: GroupBatch, lr: float) -> float:
    count = len(batch.has_token)
    scale = Scale(
        dp_size=1, batch_num_tokens=int(batch.response_mask.sum()), global_batch_size=count, loss_scale_factor=1
    )
    with torch.autocast("cpu", torch.bfloat16):
        loss = sft_loss(model(batch).logprobs, batch.response_mask, scale)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = lr
        optimizer.step()
        optimizer.zero_grad()
    return loss.item()


@dataclass(frozen=True, kw_only=True)
class Sequel:
    """Starter that is trained from another starter."""

    folder: Path
    words: tuple[str, ...]
    """Words added to its vocabulary."""
    curriculum: tuple[Phase, ...]
    lesson: str
    source: Path = STARTER


SEQUELS = {
    "forms": Sequel(
        folder=FORMS,
        words=(*CHOICE_FORM, *CELLS),
        curriculum=FORMS_CURRICULUM,
        lesson="teach the starter to choose and to mark cells",
    ),
    "yes-no": Sequel(
        folder=YES_NO,
        words=(),
        curriculum=YES_NO_CURRICULUM,
        lesson="teach the starter to say yes or no about one image",
    ),
    "routed": Sequel(
        folder=ROUTED,
        words=ROUTED_FORM,
        curriculum=ROUTED_CURRICULUM,
        lesson="teach the starter of --forms to choose a piece of knowledge first",
        source=FORMS,
    ),
}


def asking_in(curriculum: Sequence[Phase]) -> dict[str, Any]:
    """Return how a starter is asked: as in its curriculum, with the task if there is only one."""
    first, *others = {task for phase in curriculum for task in phase.tasks}
    told: dict[str, Any] = {} if others else {"data.task": first.name}
    shown = {"data.instructions": Instructions.none.name, "data.with_reference": Task.yes_no not in (first, *others)}
    return told | shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = parser.add_mutually_exclusive_group()
    for name, sequel in SEQUELS.items():
        chosen.add_argument(f"--{name}", dest="sequel", action="store_const", const=sequel, help=sequel.lesson)
    parser.add_argument("--output", type=Path, help=f"folder of the checkpoint; by default {STARTER} or the option's")
    parser.add_argument("--seed", type=int, default=0, help="seed of the weights and the generated parts")
    options = parser.parse_args()
    if options.sequel:
        output = options.output or options.sequel.folder
        write_forms(output, options.sequel.source, options.sequel.words)
        train(output, options.sequel.curriculum, options.seed)
        write_asking(output, asking_in(options.sequel.curriculum))
    else:
        output = options.output or STARTER
        write_untrained(output, DATA, options.seed)
        train(output, CURRICULUM, options.seed)
        write_asking(output, asking_in(CURRICULUM))


if __name__ == "__main__":
    main()

"""All that the learner's tests ask of one rank and of two, each in one process."""

from pathlib import Path
from typing import Any

from learner_cases import (
    MODELS,
    RECORD,
    RESUMED,
    accumulation,
    bad_token_on_rank_1,
    changed_parts,
    fsdp_steps,
    gate,
    mixed_groups,
    model_config,
    open_learner,
    parity_with,
    plans_of,
    reference_by,
    refused_restores,
    resumed_steps,
    same_off_policy,
    saved,
    two_updates,
)

from actors.config import LoraConfig, Precision, ReferenceKind
from rl.checkpoints import checkpoint_folder


def one_rank(_: int, ports: list[int], folder: Path, out: Path) -> dict[str, Any]:
    """Everything that the tests ask of a learner alone."""
    port = iter(ports)
    return {
        "accumulation": [accumulation(next(port), folder, budget) for budget in (60, 10_000)],
        "off policy": {count: same_off_policy(port, folder, count) for count in (1, 2)},
        "gate": {shift: gate(next(port), folder, shift) for shift in (0.0, 0.5, float("nan"))},
        "saved": {name: saved(next(port), folder, out / name, model) for name, model in MODELS.items()},
        "changed": {name: changed_parts(next(port), folder, model) for name, model in MODELS.items()},
        "reference": [reference_by(next(port), folder, kind) for kind in ReferenceKind],
        "two updates": two_updates(next(port), folder),
        "bf16": parity_with(next(port), folder, precision=Precision.bf16),
        "resumed": {
            name: resumed_steps(0, port, folder, out / "resumed" / name, 1, model) for name, model in RESUMED.items()
        },
        "refused": refused_restores(next(port), folder, out),
        "dropout": parity_with(next(port), folder, lora=LoraConfig(rank=4, dropout=0.5)),
    }


def two_ranks(rank: int, ports: list[int], folder: Path, out: Path) -> dict[str, Any]:
    """Everything that the tests ask of two ranks."""
    port = iter(ports)
    found: dict[str, Any] = {
        name: fsdp_steps(rank, next(port), folder, model, num_ranks=2) for name, model in MODELS.items()
    }
    found["bad token"] = bad_token_on_rank_1(rank, next(port), folder)
    learner = open_learner(next(port), model_config(folder, **MODELS["lora"]))
    learner.update(plans_of(mixed_groups(folder), 2)[rank])
    learner.save(str(checkpoint_folder(out, 1)), RECORD)
    learner.finish_saving()
    learner.close()
    found["resumed"] = {
        name: resumed_steps(rank, port, folder, out / name, 2, model) for name, model in RESUMED.items()
    }
    return found

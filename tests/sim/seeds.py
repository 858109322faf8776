"""Many seeds, one after the other, in a folder in memory where there is one."""

import gc
import time
import traceback
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rl.faults import named
from sim.story import Story
from sim.swarm import plan_of

MEMORY = Path("/dev/shm")


@dataclass
class Figures:
    """Counts over many seeds."""

    num_seeds: int = 0
    num_lives: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    """Faults that happened, by kind."""
    wrongs: dict[int, str] = field(default_factory=dict)
    """The first violated invariant of each seed that has one."""
    seconds: float = 0.0

    def told(self) -> dict[str, Any]:
        return {
            "seeds": self.num_seeds,
            "lives": self.num_lives,
            "faults": dict(sorted(self.faults.items())),
            "failing": sorted(self.wrongs),
            "seconds": round(self.seconds, 1),
        }


def run_seed(seed: int, also: tuple[str, ...] = ()) -> Story:
    with TemporaryDirectory(prefix="sim_", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        story = Story(plan_of(seed, also), Path(folder) / "seed")
        story.trace.lines.append(f"seed {seed}: {story.plan}")
        try:
            story.tell()
        except Exception as error:  # noqa: BLE001 - what nobody foresaw has a seed too
            story.trace.wrong(f"the simulation broke: {named(error)}")
            story.trace.lines += traceback.format_exc().splitlines()
        story.trace.lines = [line.replace(f"{folder}/seed/", "") for line in story.trace.lines]
    return story


def run_seeds(seeds: Iterable[int], also: tuple[str, ...] = (), *, stop_at_first: bool = False) -> Figures:
    """Run the seeds, and go on after one that fails unless `stop_at_first`."""
    figures, since = Figures(), time.perf_counter()
    # What is imported by now stays: without this, most of the time would go into looking through it for garbage.
    gc.freeze()
    for seed in seeds:
        story = run_seed(seed, also)
        figures.num_seeds += 1
        figures.num_lives += story.num_lives
        figures.faults += story.trace.faults
        if story.trace.wrongs:
            figures.wrongs[seed] = story.trace.wrongs[0]
            if stop_at_first:
                break
    gc.unfreeze()
    figures.seconds = time.perf_counter() - since
    return figures

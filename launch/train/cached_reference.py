"""Which of a run's reference log-probs are on disk already."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from actors.config import ReferenceKind
from actors.model_folder import weights_name
from conf.schema import TrainConfig
from rl.data.lessons import Lesson
from rl.recipe import RECIPES
from rl.roles import Reference
from rl.taught.reference_cache import CachedReference, ReferenceCache, lesson_key
from rl.types import Sample

MAKING_PROMPTS = ("instructions", "square", "min_pixels", "max_pixels")
"""Keys of the data's config that decide how a model sees a sample."""


@dataclass(frozen=True, kw_only=True)
class CachedLogprobs:
    """A cache, and where in it the lessons of a run are."""

    cache: ReferenceCache
    keys: Mapping[str, str]
    """Of each lesson, by the id of its sample."""

    @property
    def is_complete(self) -> bool:
        return all(key in self.cache for key in self.keys.values())

    def beside(self, reference: Reference | None) -> CachedReference:
        """The cache as a reference, which asks the other one for what it lacks."""
        return CachedReference(reference, self.cache, self.keys)


def cached_reference(
    config: TrainConfig, samples: Sequence[Sample], lessons: Mapping[str, Lesson], say: Callable[[str], None]
) -> CachedLogprobs | None:
    """None for a run that keeps none."""
    is_compared = RECIPES[config.algo.objective].needs_reference(config.algo)
    if not (is_compared and config.cluster.reference is ReferenceKind.cached):
        return None
    model = weights_name(config.model.path)
    made = {name: value for name, value in asdict(config.data).items() if name in MAKING_PROMPTS}
    made["precision"] = config.model.precision.value
    keys = {sample.id: lesson_key(model, made, sample, lessons[sample.id]) for sample in samples}
    cache = ReferenceCache(Path(config.cluster.reference_cache) / f"{model}.jsonl")
    num_known = sum(key in cache for key in keys.values())
    missing = len(keys) - num_known
    damaged = (
        f"; damaged lines there: {cache.num_damaged}, made anew as needed" if cache.num_damaged and missing else ""
    )
    say(f"reference log-probs of {num_known} of {len(keys)} lessons are in {cache.path}{damaged}")
    return CachedLogprobs(cache=cache, keys=keys)

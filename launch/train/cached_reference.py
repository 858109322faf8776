"""The reference log-probs of a run that are on disk already."""

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
    """A cache and the keys of a run's lessons in it."""

    cache: ReferenceCache
    keys: Mapping[str, str]
    """Keys of the lessons by the ids of their samples."""

    @property
    def is_complete(self) -> bool:
        return all(key in self.cache for key in self.keys.values())

    def beside(self, reference: Reference | None) -> CachedReference:
        """Return the cache as a reference that asks `reference` for what the cache lacks."""
        return CachedReference(reference, self.cache, self.keys)


def cached_reference(
    config: TrainConfig, samples: Sequence[Sample], lessons: Mapping[str, Lesson], say: Callable[[str], None]
) -> CachedLogprobs | None:
    """Open the cache of a run and say how complete it is; return None for a run that keeps none."""
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

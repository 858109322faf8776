from pathlib import Path

import numpy as np
import pytest

from rewards.answers.parse import Answer
from rewards.domain import Embedder, domain_rewards, packaged_model
from rl.types import Target

SCRATCH = "A long dark scratch crosses the metal surface."
SAME = "The metal surface is crossed by a long dark scratch."
WEATHER = "Tomorrow the sun will shine on the beach."


class CountingEmbedder(Embedder):
    """Embedder that records the texts of each call of the encoder."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.calls: list[list[str]] = []
        encode = self._encoder.encode

        def counted(texts: list[str], **settings) -> np.ndarray:
            self.calls.append(list(texts))
            return encode(texts, **settings)

        self._encoder.encode = counted


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder()


def answers(*thinks: str) -> list[Answer]:
    return [Answer(think=think) for think in thinks]


def targets(*rationales: str) -> list[Target]:
    return [Target(label="", rationale=rationale) for rationale in rationales]


def test_similar_reasoning_earns_its_cosine_and_dissimilar_nothing(embedder: Embedder) -> None:
    rewards = domain_rewards(answers(SCRATCH, SAME, WEATHER), targets(SCRATCH, SCRATCH, SCRATCH), embedder)
    assert rewards[0] == pytest.approx(1, abs=1e-6)
    assert rewards[1] is not None and 0.8 < rewards[1] < 1
    assert rewards[2] == 0


def test_the_cosine_is_that_of_mean_pooled_unit_vectors(embedder: Embedder) -> None:
    # The model card's recipe, without sentence-transformers.
    import rl.import_fixes  # noqa: F401

    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = packaged_model()
    tokens = AutoTokenizer.from_pretrained(folder)([SCRATCH, SAME], padding=True, return_tensors="pt")
    with torch.no_grad():
        states = AutoModel.from_pretrained(folder)(**tokens).last_hidden_state
    mask = tokens["attention_mask"][..., None]
    first, second = (states * mask).sum(1) / mask.sum(1)
    expected = torch.cosine_similarity(first, second, dim=0).item()
    assert embedder.similarities([SCRATCH], [SAME])[0] == pytest.approx(expected, abs=1e-5)


def test_a_cosine_at_the_threshold_counts(embedder: Embedder) -> None:
    [cosine] = domain_rewards(answers(SAME), targets(SCRATCH), embedder)
    assert cosine is not None
    assert domain_rewards(answers(SAME), targets(SCRATCH), embedder, threshold=cosine) == [cosine]
    assert domain_rewards(answers(SAME), targets(SCRATCH), embedder, threshold=np.nextafter(cosine, 2)) == [0]


def test_no_reasoning_earns_nothing_and_no_rationale_has_no_value(embedder: Embedder) -> None:
    assert domain_rewards(answers("", SCRATCH), targets(SCRATCH, ""), embedder) == [0, None]
    assert domain_rewards([], [], embedder) == []


def test_a_batch_is_one_call_of_the_encoder_with_each_text_once() -> None:
    embedder = CountingEmbedder()
    domain_rewards(answers(SAME, SAME, WEATHER), targets(SCRATCH, SCRATCH, SCRATCH), embedder)
    domain_rewards(answers(SAME, WEATHER), targets(SCRATCH, WEATHER), embedder)
    domain_rewards(answers(SCRATCH), targets(WEATHER), embedder)
    assert [sorted(call) for call in embedder.calls] == [sorted([SCRATCH, SAME, WEATHER]), sorted([SAME, WEATHER])]


def test_the_least_recently_used_rationales_leave_the_cache_first() -> None:
    embedder = CountingEmbedder(max_cached=2)
    for rationale in ("one", "two", "one", "three", "one", "two"):
        embedder.similarities(["one"], [rationale])
    assert embedder.calls == [["one"], ["two"], ["three"], ["two"]]


def test_the_order_of_texts_changes_no_cosine(embedder: Embedder) -> None:
    texts = [SCRATCH, SAME, WEATHER, "Short.", SCRATCH * 20]
    together = embedder.similarities(texts, [SAME] * len(texts))
    alone = [embedder.similarities([text], [SAME])[0] for text in texts]
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_hostile_text_is_cut_beyond_what_the_encoder_reads(embedder: Embedder) -> None:
    hostile, long = embedder.similarities([SCRATCH * 100_000, SCRATCH * 100], [SCRATCH] * 2)
    assert hostile == pytest.approx(long, abs=1e-5)


def test_a_folder_that_is_no_encoder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"reward\.domain\.model=.* is no folder of a sentence-transformers model"):
        Embedder(str(tmp_path))


def test_a_folder_is_loaded_like_the_package(embedder: Embedder) -> None:
    own = Embedder(str(packaged_model()))
    assert own.similarities([SCRATCH], [SAME]) == pytest.approx(embedder.similarities([SCRATCH], [SAME]))

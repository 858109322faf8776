"""Tokens that no completion may hold; the engine and the learner leave them out of the softmax."""

import rl.import_fixes  # noqa: F401

from transformers import AutoTokenizer

from rl.faults import UserError
from rl.model_config import family_of


def banned_token_ids(model_path: str) -> tuple[int, ...]:
    """Return the ids of the tokens of model.path that stand for images."""
    family = family_of(model_path)
    vocabulary = AutoTokenizer.from_pretrained(model_path).get_vocab()
    missing = [token for token in family.never_sampled if token not in vocabulary]
    if missing:
        raise UserError(
            f"{model_path}: the tokenizer lacks {missing}; copy the tokenizer of a {family.name} checkpoint"
        )
    return tuple(sorted(vocabulary[token] for token in family.never_sampled))

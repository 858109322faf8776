"""ReAL: the tokens of a response that reason about the anomaly, their map, and their agreement (CGRO)."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from rl.types import Look, Maps
from rollout.config import Cut, LocalizeConfig, Selection

IN_PLANE = np.stack([np.zeros((3, 3)), np.ones((3, 3)), np.zeros((3, 3))])
"""Neighbours of a place in a stack of maps: the eight around it in its map, none in other maps."""
FEWEST_TO_BEND = 3
"""Least number of scores with which a curve can have a bend."""


@dataclass(frozen=True, kw_only=True)
class Attention:
    """The attention of the tokens of one response, averaged over layers and heads."""

    maps: np.ndarray
    """[tokens, rows, columns] attention to the inspected image, A_r."""
    relevance: np.ndarray
    """[tokens] attention to the anomaly words, S_T."""
    reasoning: tuple[int, int] | None = None
    """[start, end) of the tokens that are compared and can be selected; None for all."""


def look(attention: Attention, config: LocalizeConfig, *, with_maps: bool) -> Look:
    """Return the summary of a response's attention that leaves the learner."""
    entropy = spatial_entropy(attention.maps, config.blob_deviations)
    weights, part = np.zeros(len(entropy)), slice(*attention.reasoning or (None,))
    weights[part] = token_weights(attention.relevance[part], entropy[part], config)
    top = np.argsort(-weights, kind="stable")[: config.num_top]
    top = top[weights[top] > 0]
    looked_at = supports(attention.maps[top], config.percentile)
    every = Maps(rdam=anomaly_map(attention.maps, weights), every=attention.maps[part].mean(0).astype(np.float32))
    return Look(
        relevance=tuple(attention.relevance.tolist()),
        entropy=tuple(entropy.tolist()),
        weights=tuple(weights.tolist()),
        top=tuple(top.tolist()),
        supports=np.packbits(looked_at.reshape(len(top), attention.maps[0].size), axis=1),
        shape=attention.maps.shape[1:],
        agreement=agreement(looked_at),
        maps=every if with_maps else None,
    )


def spatial_entropy(maps: np.ndarray, deviations: float = 1.0) -> np.ndarray:
    """Return S_I = -Σ P(C_i) log P(C_i) of each map (eq. 3), in nats; the lower, the more concentrated the map.

    C_i are the 8-connected components of the places that lie `deviations` standard deviations above the map's mean,
    P(C_i) their shares of the attention on all components. A map of equal values has no component and gets the largest
    entropy possible: the logarithm of its size (ours).

    >>> spatial_entropy(np.array([[[9.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 9.0]]])).round(4).tolist()
    [0.6931]
    """
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    # Rounding must not make a component of an even map.
    level = flat.mean(1) * (1 + np.finfo(np.float32).eps) + deviations * flat.std(1)
    above = flat > level[:, None]
    labels, count = ndimage.label(above.reshape(maps.shape), structure=IN_PLANE)
    mass = np.bincount(labels.ravel(), weights=flat.ravel(), minlength=count + 1)[1:]
    owner = np.zeros(count + 1, int)
    owner[labels.ravel()] = np.repeat(np.arange(len(maps)), flat.shape[1])
    owner = owner[1:]
    share = mass / np.bincount(owner, weights=mass, minlength=len(maps))[owner]
    entropy = np.bincount(owner, weights=-share * np.log(share), minlength=len(maps))
    return np.where(above.any(1), np.maximum(entropy, 0.0), np.log(flat.shape[1]))


def token_weights(relevance: np.ndarray, entropy: np.ndarray, config: LocalizeConfig) -> np.ndarray:
    """Return w_r = 1[Ŝ_T > τ_t, Ŝ_I > τ_i] (α Ŝ_T + β Ŝ_I) (eq. 4), or the weights of an ablation."""
    relevant, focused = normalized(relevance), normalized(-entropy)
    about = relevant > cut(relevant, config.relevance_cut)
    in_place = focused > cut(focused, config.entropy_cut)
    match config.selection:
        case Selection.both:
            return (about & in_place) * (config.alpha * relevant + config.beta * focused)
        case Selection.relevance:
            return about * relevant
        case Selection.entropy:
            return in_place * focused
        case Selection.all:
            return np.ones(len(relevance))


def normalized(values: np.ndarray) -> np.ndarray:
    """Return the values scaled to [0, 1] over the tokens (ours); 1 for all if they are equal.

    >>> normalized(np.array([2.0, 4.0, 3.0])).tolist()
    [0.0, 1.0, 0.5]
    """
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.ones(len(values))


def cut(values: np.ndarray, kind: Cut) -> float:
    """Return τ, above which a normalised score selects a token (Table 5).

    The highest score would select no token: the next lower one takes its place (ours). Equal scores are all selected.
    """
    ordered = np.sort(values)
    lower = ordered[ordered < ordered[-1]]
    if not len(lower):
        return -np.inf
    if kind is Cut.median or len(ordered) < FEWEST_TO_BEND:
        found = np.median(ordered)
    else:
        found = ordered[np.argmax(curvature(ordered) if kind is Cut.curvature else below_chord(ordered))]
    return float(min(found, lower[-1]))


def curvature(ordered: np.ndarray) -> np.ndarray:
    """Return κ = |y''| / (1 + y'^2)^(3/2) of a sorted curve over even steps of [0, 1], by central differences."""
    step = 1 / (len(ordered) - 1)
    slope = np.gradient(ordered, step)
    bend = np.zeros(len(ordered))
    bend[1:-1] = (ordered[2:] - 2 * ordered[1:-1] + ordered[:-2]) / step**2
    return np.abs(bend) / (1 + slope**2) ** 1.5


def below_chord(ordered: np.ndarray) -> np.ndarray:
    """Return the distance of each point of a sorted curve from the line between its ends."""
    return np.abs(ordered - np.linspace(ordered[0], ordered[-1], len(ordered)))


def anomaly_map(maps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return A_RDAM = Σ w_r A_r (eq. 5), [rows, columns] float32."""
    return np.tensordot(weights, maps, axes=1).astype(np.float32)


def supports(maps: np.ndarray, percentile: float = 95.0) -> np.ndarray:
    """Return Ω_r of each map, [tokens, rows, columns] bool: the places above its percentile."""
    assert maps.ndim == 3 and np.isfinite(maps).all(), f"no finite [tokens, rows, columns]: shape {list(maps.shape)}"
    if not len(maps):
        return np.zeros(maps.shape, bool)
    return maps > np.percentile(maps, percentile, axis=(1, 2), keepdims=True)


def agreement(looked_at: np.ndarray) -> float:
    """Return J = |∩ Ω_r| / |∪ Ω_r| (eq. 6), in [0, 1]; 0 if there is no token, or no place in any Ω_r.

    >>> agreement(np.array([[[True, True]], [[True, False]]]))
    0.5
    """
    if not len(looked_at):
        return 0.0
    anywhere = int(looked_at.any(axis=0).sum())
    return int(looked_at.all(axis=0).sum()) / anywhere if anywhere else 0.0

"""Generates the demo's parts, textured plates under a fixed light, some with a defect; writes MVTec-AD layout."""

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from rl.data.config import KNOWLEDGE
from rl.types import Box

SIZE = 112
"""Side of an image in pixels; the starter makes 4x4 tokens of it."""
DEFECTS = ("scratch", "hole", "stain")
CONTRASTS = (0.08, 0.45)
"""Contrasts of the faintest and the strongest defect; sensor noise is 0.015 and the materials' relief about 0.05."""
OBJECTS = "Demo"
"""Name of the data set in the file of knowledge, with which that file begins."""
ROWS, COLUMNS = ("top", "middle", "bottom"), ("left", "center", "right")
MAX_SHIFT = 2
"""Largest shift of the inspected part against its reference, in pixels."""
_Y, _X = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)
# The starter sees positions only relative to each other; a gradient of light tells where in the image a patch lies.
LIGHT = 0.36 * np.stack([_X / SIZE - 0.5, np.zeros_like(_X), _Y / SIZE - 0.5], axis=-1)
TINTS = {
    "scratch": np.array([1.0, 1.0, 1.0], np.float32),
    "hole": np.array([-1.0, -1.0, -1.0], np.float32),
    "stain": np.array([-0.8, 0.3, -0.9], np.float32),
}
# The same words for every material; otherwise the material alone would give away the right piece of knowledge.
KNOWN = {
    "good": "The {} is unbroken and of one color. Light changes over it slowly.",
    "scratch": "A thin light line runs over the {}. It is slanted, straight or a little bent.",
    "hole": "A round dark spot is in the {}. It has a sharp edge and no color of its own.",
    "stain": "A green oval lies on the {}. What is below it can still be seen.",
}


@dataclass(frozen=True, kw_only=True)
class Part:
    """A normal reference image and the inspected image of the same part."""

    material: str
    defect: str | None
    """Kind of defect, of DEFECTS; None for a normal part."""
    contrast: float
    """Strength of the defect's tint in [0, 1]; 0 for a normal part."""
    reference: np.ndarray
    """uint8 [height, width, 3]."""
    query: np.ndarray
    """uint8 [height, width, 3]."""
    mask: np.ndarray
    """bool [height, width], True on the defect."""

    @property
    def box(self) -> Box | None:
        """Return the smallest box around the defect, [x1, y1, x2, y2) in pixels."""
        if self.defect is None:
            return None
        rows, columns = np.flatnonzero(self.mask.any(axis=1)), np.flatnonzero(self.mask.any(axis=0))
        return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def make_part(rng: np.random.Generator, material: str, defect: str | None, contrasts: tuple[float, float]) -> Part:
    """Draw a random part; the defect's contrast is uniform in `contrasts`."""
    plate = MATERIALS[material](rng)
    reference, query = _shot(rng, plate), _shot(rng, np.roll(plate, rng.integers(-MAX_SHIFT, MAX_SHIFT + 1, 2), (0, 1)))
    mask, contrast = np.zeros((SIZE, SIZE), bool), 0.0
    if defect:
        mask = _scratch(rng) if defect == "scratch" else _ellipse(rng, round_=defect == "hole")
        contrast = float(rng.uniform(*contrasts))
        query = query + contrast * TINTS[defect] * mask[..., None]
    return Part(
        material=material,
        defect=defect,
        contrast=contrast,
        reference=_to_bytes(reference),
        query=_to_bytes(query),
        mask=mask,
    )


def rationale(part: Part) -> str:
    """Return what an inspector would say about the part."""
    return f"A {part.defect} at the {place(part.box)}." if part.box else "No difference."


def place(box: Box) -> str:
    """Return the ninth of the image that holds the middle of the box, in words."""
    x1, y1, x2, y2 = box
    return f"{ROWS[int((y1 + y2) / 2 * 3 / SIZE)]} {COLUMNS[int((x1 + x2) / 2 * 3 / SIZE)]}"


def even_places(part: Part) -> list[str]:
    """Return the ninths of the image that the defect does not touch, in words."""
    ninths = np.arange(SIZE) * 3 // SIZE
    touched = {(int(ninths[y]), int(ninths[x])) for y, x in zip(*np.nonzero(part.mask), strict=True)}
    return [f"{ROWS[row]} {COLUMNS[column]}" for row in range(3) for column in range(3) if (row, column) not in touched]


def write_demo(root: Path, *, seed: int, num_parts: int, contrasts: tuple[float, float] = CONTRASTS) -> None:
    """Write `num_parts` parts per material, half of them normal, with masks, boxes, rationales and knowledge."""
    for index, material in enumerate(MATERIALS):
        rng = np.random.default_rng([seed, index])
        _write_material(root / material, material, rng, num_parts, contrasts)
    knowledge = {material: {kind: text.format(material) for kind, text in KNOWN.items()} for material in MATERIALS}
    (root / KNOWLEDGE).write_text(yaml.safe_dump({OBJECTS: knowledge}, sort_keys=False, width=120))


def is_demo(root: Path, categories: Collection[str]) -> bool:
    """Return True if `write_demo` wrote the folder and all categories in it are the demo's."""
    notes = root / KNOWLEDGE
    return notes.is_file() and notes.read_bytes().startswith(OBJECTS.encode()) and MATERIALS.keys() >= set(categories)


def is_of_demo(photo: Path) -> bool:
    """Return True if the photo lies in a folder of a material that `write_demo` wrote."""
    return any(is_demo(folder.parent, [folder.name]) for folder in photo.absolute().parents)


def _write_material(
    folder: Path, material: str, rng: np.random.Generator, num_parts: int, contrasts: tuple[float, float]
) -> None:
    annotations = {}
    for number in range(num_parts):
        defect = DEFECTS[number // 2 % len(DEFECTS)] if number % 2 else None
        part = make_part(rng, material, defect, contrasts)
        name = f"{number:04d}"
        query = f"test/{defect or 'good'}/{name}.png"
        reference = f"train/good/{name}.png"
        _write_image(folder / reference, part.reference)
        _write_image(folder / query, part.query)
        if defect:
            _write_image(folder / f"ground_truth/{defect}/{name}_mask.png", part.mask.astype(np.uint8) * 255)
        annotations[query] = {
            "reference": reference,
            "boxes": [part.box] if part.box else [],
            "labels": [defect] if defect else [],
            "rationale": rationale(part),
        }
    (folder / "annotations.json").write_text(json.dumps(annotations, indent=1))


def _write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def _to_bytes(image: np.ndarray) -> np.ndarray:
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def _shot(rng: np.random.Generator, plate: np.ndarray) -> np.ndarray:
    """Return a photograph of the plate: fixed light, a little exposure drift, sensor noise."""
    noise = rng.standard_normal(plate.shape, dtype=np.float32)
    return plate + LIGHT + np.float32(rng.uniform(-0.02, 0.02)) + 0.015 * noise


def _blotches(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Return smooth noise: a grid of `cells` random cells per side, enlarged bilinearly."""
    grid = rng.standard_normal((cells + 1, cells + 1), dtype=np.float32)
    position = np.linspace(0, cells - 1e-3, SIZE, dtype=np.float32)
    cell = position.astype(int)
    share = position - cell
    rows = grid[cell] * (1 - share)[:, None] + grid[cell + 1] * share[:, None]
    return rows[:, cell] * (1 - share) + rows[:, cell + 1] * share


def _plate(rng: np.random.Generator, color: tuple[float, float, float], relief: np.ndarray) -> np.ndarray:
    shade = np.array(color, np.float32) + rng.uniform(-0.04, 0.04, 3).astype(np.float32)
    return shade + 0.05 * relief[..., None].astype(np.float32)


def _leather(rng: np.random.Generator) -> np.ndarray:
    return _plate(rng, (0.45, 0.30, 0.20), 0.5 * _blotches(rng, 16) + 0.3 * _blotches(rng, 8))


def _metal(rng: np.random.Generator) -> np.ndarray:
    brushing = rng.standard_normal((SIZE, 1), dtype=np.float32)
    return _plate(rng, (0.55, 0.57, 0.60), 0.5 * brushing + 0.2 * _blotches(rng, 4))


def _wood(rng: np.random.Generator) -> np.ndarray:
    grain = np.sin((_X + 6 * _blotches(rng, 3)) / rng.uniform(2, 4))
    return _plate(rng, (0.55, 0.40, 0.25), 0.6 * grain + 0.3 * _blotches(rng, 6))


def _fabric(rng: np.random.Generator) -> np.ndarray:
    pitch = rng.uniform(1.2, 2.0)
    return _plate(rng, (0.35, 0.40, 0.45), 0.5 * np.sin(_X / pitch) + 0.5 * np.sin(_Y / pitch))


def _scratch(rng: np.random.Generator) -> np.ndarray:
    """Return the mask of a thin, slightly bent line, oblique enough that its box is no sliver."""
    (x, y), angle = rng.uniform(22, SIZE - 22, 2), rng.choice([-1, 1]) * rng.uniform(0.15, 0.35) * np.pi
    half_length, half_width, bend = rng.uniform(16, 32), rng.uniform(1.4, 2.6), rng.uniform(-0.004, 0.004)
    along = (_X - x) * np.cos(angle) + (_Y - y) * np.sin(angle)
    across = (_Y - y) * np.cos(angle) - (_X - x) * np.sin(angle) + bend * along**2
    return (np.abs(along) < half_length) & (np.abs(across) < half_width)


def _ellipse(rng: np.random.Generator, *, round_: bool) -> np.ndarray:
    (x, y), radius = rng.uniform(20, SIZE - 20, 2), rng.uniform(8, 17)
    stretch = 1.0 if round_ else rng.uniform(0.7, 1.5)
    return ((_X - x) / (radius * stretch)) ** 2 + ((_Y - y) / radius) ** 2 < 1


MATERIALS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "leather": _leather,
    "metal": _metal,
    "wood": _wood,
    "fabric": _fabric,
}

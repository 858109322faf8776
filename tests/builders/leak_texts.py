"""Texts that leak what only the teacher's prompt says, and clean texts with similar words, filled from templates."""

import random

BEFORE = (
    "The weave is even and its edge is straight; {leak}, so the part is defective.",
    "A dark line runs from the rim to the centre, {leak}. It is a scratch.",
    "{Leak}. The surface is rough there, which a normal part does not show.",
    "Comparing both images, one corner is chipped. {Leak}, and nothing else differs.",
    "The gloss is uneven ({leak}), therefore the option is stain.",
)
DRAWN = (
    "inside the red box",
    "the area in the RED  BOX is darker",
    "two red boxes mark it",
    "the red-box region stands out",
    "the red bounding box shows the place",
    "a red rectangle surrounds it",
    "the thin red rectangular box encloses it",
    "it is highlighted in red",
    "the spot is outlined in red",
    "the region circled in red is rough",
    "the **red** box covers it",
    "the box drawn in red contains it",
    "the box is marked in red",
    "it lies within the red outlined region",
    "the area enclosed by a red frame is pitted",
    "a red circle marks the hole",
    "the red\nbox lies on it",
    "the red\u200b box lies on it",
    "the highlighted area is different",
    "red bboxes are drawn around both",
)
HINTED = (
    "the hint says so",
    "as hinted",
    "hint: abnormal",
    "following the hint",
    "as the hints suggest",
    "this was hinted at",
    "the question hints at a defect",
    "according to the hint",
    "given the hint",
    "with your hint in mind",
    "the Hint confirms it",
    'as the "hint" tells',
    "from the provided hints",
    "the given hint is right",
    "I keep to this hint",
    "by that hint it is abnormal",
)
GIVEN = (
    "as given",
    "as is given",
    "as was given in the prompt",
    "as provided",
    "as already provided",
    "as told",
    "as I was told",
    "as instructed",
    "as specified",
    "as stated in the prompt",
    "as mentioned in the instructions",
    "as indicated by the annotation",
    "as you said",
    "as\ngiven",
    "just as given above",
    "given the ground truth",
    "you told me that it is abnormal",
    "we were told that it is",
    "the prompt states it",
    "the given answer is scratch",
)
PROVIDED = (
    "according to the provided information",
    "according to the provided coordinates",
    "According to the given label",
    "according to the annotations",
    "according to provided data",
    "based on the provided bounding box",
    "based on the supplied label",
    "as per the provided description",
    "in line with the provided answer",
    "in accordance with the provided details",
    "following the provided coordinates",
    "consistent with the provided annotation",
    "from the ground truth",
    "according to the prompt",
    "the image is labelled as defective",
    "the provided mask covers it",
    "according to what was provided",
    "based on what I was told",
    "the coordinates that were provided fit",
    "according to this provided text",
)
NEAR = (
    "at the given position the red dye has run",
    "it comes boxed in red packaging",
    "a hint of rust lies along the seam",
    "without a hint of wear",
    "the gap hints at a missing pin",
    "this hints that the lid was forced",
    "streaks that hint at a leak",
    "the red cap sits square on the box",
    "red tape seals the box",
    "the bottle is red, boxes around it are white",
    "the red ink of the box is smudged",
    "given the even texture, no flaw is likely",
    "the part was given a matte coating",
    "provided that the light is even, this is a shadow",
    "the contrast provided by the reference is clear",
    "the provided images differ at the rim",
    "in the provided image the thread is torn",
    "based on the provided images, the rim differs",
    "the label is printed in red on white",
    "a red border is printed on the label",
    "a red circle is part of the logo",
    "the frame is painted red and intact",
    "according to the knowledge on scratches, lines are thin",
    "as described in the knowledge, the teeth are bent",
    "as shown in the second image, the edge is frayed",
    "the question asks for the kind of defect",
    "the option that fits is hole",
    "the tip of the pin is bent as if pressed",
    "as the box closes, its flap folds inwards",
    "a red line crosses the boxy housing",
    "the lid was opened by the user before",
    "the scratch follows the label's edge",
    "in any given cell the tone is the same",
    "the foil is wrapped around a red core",
    "the mark is as dark as the print",
    "a prompt repair is advisable",
    "the surface gives off a dull sheen, as expected",
    "red spots are scattered, boxed crosswise by seams",
    "the red area is rectangular",
    "judging by what is visible, nothing is missing",
)
CLEAN = (
    "The outline is regular; {near}, and so the part is normal.",
    "{Near}. Nothing else differs from the reference.",
    "Both halves are compared: {near}. The verdict rests on the rim alone.",
    "A pale line crosses the {part}, {near}. That is typical of a scratch.",
    "The {part} is followed from edge to edge. {Near}.",
)
PARTS = ("seam", "lid", "shell", "thread", "weave")


def planted_texts() -> list[str]:
    """Make 200 texts with one leak each."""
    rng = random.Random(0)
    leaks = [leak for kind in (DRAWN, HINTED, GIVEN, PROVIDED) for leak in kind]
    return [_filled(rng, BEFORE[number // len(leaks)], leaks[number % len(leaks)], "leak") for number in range(200)]


def clean_texts() -> list[str]:
    """Make 500 texts, most of them with two phrases that resemble a leak."""
    rng = random.Random(1)
    texts = []
    for number in range(500):
        first = _filled(rng, CLEAN[number // len(NEAR) % len(CLEAN)], NEAR[number % len(NEAR)], "near")
        second = _filled(rng, rng.choice(CLEAN), rng.choice(NEAR), "near")
        texts.append(f"{first} {second}" if number >= len(CLEAN) * len(NEAR) else first)
    return texts


def _filled(rng: random.Random, template: str, words: str, name: str) -> str:
    filling = {name: words, name.capitalize(): words[0].upper() + words[1:], "part": rng.choice(PARTS)}
    return template.format(**filling)

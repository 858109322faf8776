"""An object's name leaves a text in every spelling, and words that only look like it stay."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.data.knowledge.naming import agnostic, names_left

OBJECTS = ("zipper", "metal_nut", "toothbrush", "pushpins", "pcb1", "food_box", "phone_battery", "wood", "sim_card_set")
PIECES = (
    *(
        "zipper",
        "Zippers",
        "METAL",
        "nut",
        "nuts",
        "metalNut",
        "tooth",
        "brushes",
        "toothbrush's",
        "push",
        "pin",
        "pcb",
    ),
    *("PCB1", "2", "food", "boxes", "battery", "Batteries", "phone", "wooden", "sim", "card", "set", "the", "driver"),
    *(" ", " ", " ", "_", "-", "\n", ". ", "'s", "[object]", "[", "]", "‑", "é", "İ", "1", "\u200b"),
)


@pytest.mark.parametrize(
    ("object_", "text", "wanted"),
    [
        ("zipper", "Zippers: the zipper's teeth, ZIPPER2.", "[object]: the [object]'s teeth, [object]."),
        (
            "metal_nut",
            "A metal nut, metal-nuts, metal_nut, MetalNut; the nut.",
            "A [object], [object], [object], [object]; the [object].",
        ),
        ("metal_nut", "metallic, a metal pin, nutty", "metallic, a metal pin, nutty"),
        ("toothbrush", "tooth brushes and a tooth", "[object] and a tooth"),
        ("pushpins", "one push-pin per box of pushpins", "one [object] per box of [object]"),
        ("phone_battery", "Batteries; phone battery", "[object]; [object]"),
        ("wood", "wooden boards of Woods, wood-boring", "[object] boards of [object], [object]-boring"),
        ("screw", "a screwdriver's slot, unscrewed", "a [object]driver's slot, unscrewed"),
        ("pcb3", "the PCBs (printed circuit boards), pcb 3", "the [object] ([object]), [object] 3"),
        (
            "drink_can",
            "It can leak where the can is bent; cans can.",
            "It can leak where the [object] is bent; [object] can.",
        ),
        ("food_box", "boxy boxes, boxed", "boxy [object], boxed"),
        ("pill", "pillar of PILLS", "[object]ar of [object]"),
        ("screw", "screwscrewscrewdriver screwscrews2", "[object][object][object]driver [object][object]"),
        ("metal_nut", "metalnutmetal nut, metalnutmetalnuts", "[object][object], [object][object]"),
        ("metal_nut", "metalnut" * 99 + "metal nuts", "[object]" * 100),
        ("object", "The objects' [object]", "The [object]' [object]"),
        ("knives", "a knife", "a [object]"),
        ("7", "7 of 7", "7 of 7"),
    ],
)
def test_names_become_the_placeholder(object_: str, text: str, wanted: str):
    found = agnostic(text, object_)
    assert (found, names_left(found, object_)) == (wanted, ())


@pytest.mark.parametrize("object_", OBJECTS)
@given(parts=st.lists(st.sampled_from(PIECES), max_size=14))
def test_no_name_is_left_and_a_second_rewriting_changes_nothing(object_: str, parts: list[str]):
    rewritten = agnostic("".join(parts), object_)
    assert agnostic(rewritten, object_) == rewritten
    plain = re.sub(r"\d+$", "", object_.replace("_", " "))
    others = {plain, plain.replace(" ", ""), plain.replace(" ", "-"), plain.removesuffix("s")}
    for name in (form for other in others for form in (other, f"{other}s")):
        pattern = re.compile(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", re.IGNORECASE)
        assert not pattern.search(rewritten.replace("[object]", "|"))


@given(text=st.text(max_size=80), object_=st.text(max_size=12))
def test_any_text_is_rewritten_once_and_keeps_what_names_nothing(text: str, object_: str):
    rewritten = agnostic(text, object_)
    assert agnostic(rewritten, object_) == rewritten
    pieces = iter(text)
    assert all(character in pieces for character in rewritten.replace("[object]", ""))


@pytest.mark.parametrize("hidden", ["zip\u200bper", "z\u00edpper", "zip\u00adpers", "\uff5aipper"])
def test_a_name_that_is_hidden_in_other_letters_is_found(hidden: str):
    text = f"The {hidden} is bent."
    assert names_left(agnostic(text, "zipper"), "zipper")[0].startswith("zipper")
    assert names_left(text, "leather") == ()

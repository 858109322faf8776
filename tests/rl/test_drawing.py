"""The draw of a step: groups without contrast are repaired, judged anew and, if that fails, replaced by new ones."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from rl.algorithm import AlgoConfig
from rl.brake import Brake
from rl.contrast import Draw, Repair, lacks_contrast
from rl.data.stream import SampleStream
from rl.loop import Roles, draw
from rl.types import Completion, Group, Origin, Prompt, Sample, Score, Target

RIGHT, WRONG, MIXED, HOPELESS = "right", "wrong", "mixed", "hopeless"


def sample(kind: str, number: int = 0) -> Sample:
    target = Target(label="normal", rationale="" if kind == HOPELESS else "Even.")
    return Sample(id=f"{kind}/{number}", images=(), question="?", target=target, category=kind)


def answer(text: str, origin: Origin = Origin.policy) -> Completion:
    return Completion(token_ids=(1,), text=text, logprobs=(), finish_reason="stop", policy_version=0, origin=origin)


class ScriptedRoles:
    """Sampler, observer, judge and repairer in one; the category of a sample decides its completions."""

    weights = {"accuracy": 1.0}
    has_teacher = True

    def __init__(self, taught: str = "no") -> None:
        self.taught = taught
        self.asked: list[list[str]] = []
        self.repairs: list[Repair] = []
        self.num_scored = 0
        self.looked_at: list[list[str]] = []

    async def collect(self, samples, *, greedy=False):
        self.asked.append([sample.id for sample in samples])
        for index, sample in enumerate(samples):
            prompt = Prompt(
                sample=sample, token_ids=(1,), pixels=None, image_spans=(), image_size=(0, 0), target=sample.target
            )
            texts = {RIGHT: ["yes"] * 4, MIXED: ["yes", "no"] * 2}.get(sample.category, ["no"] * 4)
            yield index, Group(prompt=prompt, completions=tuple(map(answer, texts)))

    async def observe(self, groups, *, with_maps):
        self.looked_at += [[completion.text for completion in group.completions] for group in groups]
        return [replace(group, old_logprobs=((0.0,),) * len(group.completions)) for group in groups]

    async def score(self, group: Group) -> Group:
        await asyncio.sleep(0)
        assert not self.looked_at or group.old_logprobs
        self.num_scored += 1
        values = [float(completion.text == "yes") for completion in group.completions]
        return replace(group, scores=tuple(Score(total=value, components={"accuracy": value}) for value in values))

    async def write(self, repairs: Sequence[Repair], step: int) -> list[tuple[Completion, ...]]:
        self.repairs += repairs
        texts = {Origin.teacher: self.taught, Origin.reference_text: "yes"}
        return [tuple(answer(texts[repair.origin], repair.origin) for _ in repair.places) for repair in repairs]


def drawn(
    team: ScriptedRoles,
    kinds: Sequence[str],
    *,
    contrastive: bool = True,
    max_refills: int = 0,
    num_prompts: int = 0,
    looks: bool = False,
):
    """Return a step's draw from a stream of samples of these kinds, in order, and the stream's position after it."""
    stream = SampleStream([sample(kind, number) for number, kind in enumerate(kinds)], seed=0)
    stream._epoch, stream._order = 0, list(range(len(kinds)))
    roles = Roles(
        sampler=team,
        judge=team,
        repairer=team if contrastive else None,
        observer=team if looks else None,
        policy=None,
        reference=None,
        tracker=None,
        archive=None,
        brake=Brake(),
    )
    count = num_prompts or len(kinds)
    config = AlgoConfig(num_prompts=count, num_completions=4, contrastive=contrastive, max_refills=max_refills)
    found = asyncio.run(draw(config, roles, stream, 0))
    return found, stream.position


def origins(draw: Draw) -> list[set[Origin]]:
    return [{completion.origin for completion in group.completions} - {Origin.policy} for group in draw.repaired]


def test_each_kind_of_group_gets_its_repair():
    found, _ = drawn(ScriptedRoles(), [MIXED, WRONG, RIGHT, HOPELESS])
    assert origins(found) == [set(), {Origin.reference_text}, {Origin.teacher}, set()]
    assert [lacks_contrast(group) for group in found.repaired] == [False, False, False, True]
    assert all(len(group.scores) == len(group.completions) == 4 for group in found.repaired)


def test_the_groups_as_sampled_are_returned_too():
    found, _ = drawn(ScriptedRoles(), [WRONG, RIGHT])
    origins = [completion.origin for group in found.sampled for completion in group.completions]
    assert origins == [Origin.policy] * 8
    assert [group.scores[0].total for group in found.sampled] == [0.0, 1.0]


def test_a_repair_that_gives_no_contrast_is_undone():
    found, _ = drawn(ScriptedRoles(taught="yes"), [RIGHT])
    assert found.repaired == found.sampled


def test_nothing_is_written_or_judged_twice_without_contrastive_sampling():
    team = ScriptedRoles()
    found, _ = drawn(team, [WRONG, RIGHT, MIXED], contrastive=False)
    assert found.repaired == found.sampled
    assert (team.repairs, team.num_scored) == ([], 3)


def test_refills_go_on_until_the_batch_has_contrast():
    team = ScriptedRoles()
    found, position = drawn(
        team, [MIXED, RIGHT, WRONG, RIGHT, MIXED, MIXED, MIXED], contrastive=False, max_refills=5, num_prompts=3
    )
    assert team.asked == [["mixed/0", "right/1", "wrong/2"], ["right/3", "mixed/4"], ["mixed/5"]]
    assert [group.prompt.sample.id for group in found.batch(3)] == ["mixed/0", "mixed/4", "mixed/5"]
    assert position == 6


def test_refills_are_bounded_and_the_batch_is_always_whole():
    team = ScriptedRoles()
    found, position = drawn(team, [RIGHT] * 9, contrastive=False, max_refills=2, num_prompts=3)
    assert (len(team.asked), position) == (3, 9)
    assert [group.prompt.sample.id for group in found.batch(3)] == ["right/6", "right/7", "right/8"]


def test_a_repaired_group_is_not_replaced():
    found, position = drawn(ScriptedRoles(), [RIGHT, WRONG, HOPELESS, MIXED], max_refills=5, num_prompts=3)
    assert [group.prompt.sample.category for group in found.batch(3)] == [RIGHT, WRONG, MIXED]
    assert position == 4


def test_a_reward_that_raises_on_a_newcomer_ends_the_step():
    class Broken(ScriptedRoles):
        async def score(self, group: Group) -> Group:
            if any(completion.origin is not Origin.policy for completion in group.completions):
                raise ValueError(f"reward box failed on sample {group.prompt.sample.id}")
            return await super().score(group)

    with pytest.raises(ValueError, match="sample wrong/0"):
        drawn(Broken(), [WRONG, WRONG])


def test_a_repaired_group_is_observed_again():
    team = ScriptedRoles()
    found, _ = drawn(team, [RIGHT, MIXED], looks=True)
    joined, *_ = found.repaired
    assert team.looked_at[:2] == [["yes"] * 4, ["yes", "no"] * 2]
    assert team.looked_at[2:] == [[completion.text for completion in joined.completions]]
    assert origins(found)[0] == {Origin.teacher} and len(joined.old_logprobs) == 4


def test_refilled_groups_are_observed_before_they_are_judged():
    team = ScriptedRoles()
    found, _ = drawn(team, [RIGHT, MIXED], contrastive=False, max_refills=1, num_prompts=1, looks=True)
    assert team.looked_at == [["yes"] * 4, ["yes", "no"] * 2]
    assert all(len(group.old_logprobs) == 4 for group in found.sampled)

from pathlib import Path

import pytest

from builders.groups_with_looks import look, looked
from builders.scored_groups import group, score
from rl.evaluation.kept_maps import kept_groups, kept_map, maps_file, read_maps, write_maps
from rl.types import Group

BOX = ((2.0, 2.0, 6.0, 6.0),)
RDAM = [[1.0, 2.0], [3.0, 2.0]]


def answered(number: int, *, defective: bool = True, with_map: bool = True) -> Group:
    made = group([score()], boxes=BOX if defective else (), number=number)
    return looked(made, look(rdam=RDAM if with_map else ()))


def numbers(groups: list[Group]) -> list[int]:
    return [int(item.prompt.sample.id[-3:]) for item in groups]


def test_the_first_six_defective_and_two_normal_samples_are_kept() -> None:
    exam = [answered(number, defective=number % 2 == 0) for number in range(20)]
    assert numbers(kept_groups(exam)) == [0, 2, 4, 6, 8, 10, 1, 3]


def test_fewer_are_kept_of_a_rare_label_and_none_without_a_map() -> None:
    exam = [answered(0, with_map=False), group([score()], boxes=BOX, number=1), answered(2)]
    exam += [answered(number, defective=False) for number in range(3, 9)]
    assert numbers(kept_groups(exam)) == [2, 3, 4]
    assert kept_groups(exam[:2]) == []


def test_maps_of_different_shapes_come_back_as_multiples_of_an_even_look(tmp_path: Path) -> None:
    first = looked(group([score()], boxes=BOX, number=1), look(0.25, (0.0, 1.5, 0.5), rdam=[[1.0, 0.0, 0.5]]))
    second = looked(group([score()], number=2), look(0.75, (1.0,), rdam=RDAM))
    path = maps_file(tmp_path, 20)
    write_maps(path, [first, second])
    found = read_maps(path)
    assert list(found) == [first.prompt.sample.id, second.prompt.sample.id]
    one, other = found.values()
    # 1.5 over three places, 8 over four.
    assert one.heat.tolist() == [[2.0, 0.0, 1.0]] and one.agreement == 0.25
    assert other.heat.tolist() == [[0.5, 1.0], [1.5, 1.0]] and other.agreement == 0.75
    assert one.heat == pytest.approx(kept_map(first).heat)


def test_a_file_is_replaced_as_a_whole_and_nothing_else_stays(tmp_path: Path) -> None:
    path = maps_file(tmp_path, 0)
    for agreement in (0.25, 0.5):
        write_maps(path, [looked(group([score()]), look(agreement, rdam=RDAM))])
    assert [kept.agreement for kept in read_maps(path).values()] == [0.5]
    assert [file.name for file in path.parent.iterdir()] == ["maps_step_0.npz"]


def test_an_answer_without_selected_tokens_has_an_empty_map(tmp_path: Path) -> None:
    unselected = looked(group([score()]), look(0.0, (0.0, 0.0), rdam=[[0.0, 0.0]]))
    write_maps(maps_file(tmp_path, 0), [unselected])
    (found,) = read_maps(maps_file(tmp_path, 0)).values()
    assert found.heat.tolist() == [[0, 0]]

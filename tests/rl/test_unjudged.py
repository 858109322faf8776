from dataclasses import replace

import pytest

from builders.scored_groups import group, score
from rl.types import Score
from rl.unjudged import check_unjudged

DEAD = Score(
    total=None,
    components={"format": 1.0, "box": None, "domain": None},
    unjudged=("reward box has nothing to judge by in this sample", "reward domain on sample s: no answer in 30 s"),
)
JUDGED = Score(total=1.5, components={"format": 1.0, "box": None, "domain": 0.5})


def test_too_many_unjudged_completions_stop_the_run_with_number_component_and_sample():
    groups = [group([JUDGED, DEAD], number=3), group([DEAD, DEAD], number=4)]
    with pytest.raises(ValueError) as caught:
        check_unjudged(groups, 0.5)
    message = str(caught.value)
    assert message.startswith("3 of 4 completions of a step could not be judged, more than algo.max_unjudged=0.5")
    assert "most lack reward domain, e.g. in sample steel/test/003 (reward domain on sample s: no answer" in message


def test_no_more_than_the_share_passes():
    groups = [group([JUDGED, DEAD]), group([DEAD, JUDGED])]
    check_unjudged(groups, 0.5)
    check_unjudged(groups, 1.0)
    check_unjudged([group([JUDGED, JUDGED])], 0.0)
    check_unjudged([], 0.0)
    with pytest.raises(ValueError, match="2 of 4"):
        check_unjudged(groups, 0.49)


def test_a_component_that_is_only_measured_is_not_blamed():
    with pytest.raises(ValueError, match="most lack reward box"):
        check_unjudged([group([DEAD])], 0.0)
    with pytest.raises(ValueError, match="most lack reward domain"):
        check_unjudged([group([DEAD, JUDGED])], 0.0)


def test_a_score_without_a_reason_stops_the_run_too():
    with pytest.raises(ValueError, match="no reason was given"):
        check_unjudged([group([replace(score(box=None), unjudged=())])], 0.0)

"""What is typed after a verb becomes overrides as Hydra reads them."""

from launch.command.arguments import in_full


def test_short_arguments_are_expanded():
    groups = ["model", "cluster"]
    typed = ["model=starter", "model=runs/a/hf", "cluster=a/b", "input=a.png,b c.png", "seed=1,2"]
    read = in_full(typed, groups, ["input"], ())
    assert read == ["model=starter", "model.path=runs/a/hf", "cluster=a/b", "input='a.png,b c.png'", "seed=1,2"]
    assert in_full(["input=a,b"], groups, (), ()) == ["input=a,b"]

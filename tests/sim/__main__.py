"""`python -m tests.sim`: tell the story of one seed, or run many and print figures."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sim.seeds import run_seed, run_seeds  # noqa: E402
from sim.swarm import KINDS  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seed", type=int, help="tell what happens in the lives of this seed")
    parser.add_argument("--seeds", type=int, default=1000, help="number of seeds to run, from --first on")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--also", nargs="*", default=[], choices=KINDS, help="kinds of faults for every seed")
    parser.add_argument("--stop-at-first", action="store_true", help="end at the first seed that fails")
    args = parser.parse_args()
    if args.seed is not None:
        trace = run_seed(args.seed, tuple(args.also)).trace
        print(*trace.lines, sep="\n")
        return bool(trace.wrongs)
    seeds = range(args.first, args.first + args.seeds)
    figures = run_seeds(seeds, tuple(args.also), stop_at_first=args.stop_at_first)
    for seed, wrong in figures.wrongs.items():
        print(f"seed {seed}: {wrong}; python -m tests.sim --seed {seed}")
    print(json.dumps(figures.told()))
    return bool(figures.wrongs)


if __name__ == "__main__":
    sys.exit(main())

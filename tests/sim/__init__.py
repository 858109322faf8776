"""A deterministic simulation of a run: production's loops and files, in a simulated world with faults.

`python -m tests.sim --seed 7` tells what befell the run of a seed; `--seeds 1000` runs many and prints figures.

One seed is one run from its first start to its end. A life is one process of it: it is drawn a few faults, dies, fails
or is stopped, and the next one goes on with resume=auto, until a last life without faults reaches the end.

Under test, as it is, with what these call: rl/loop.py, rl/taught/teaching.py, rl/brake.py, rl/checkpoints.py,
actors/waiting.py, actors/peers.py, and of launch/run archive, ending, folder, resume, signals and tracking. Simulated
is what surrounds the driver: the actors (world.py), the learners with their checkpoints (learners.py), time (clock.py)
and faults of the disk (disk.py). lives.py and record.py put a life together as launch/train does, which itself is not
under test here, nor is Ray.

story.py goes from life to life and damages files in between. swarm.py draws the configuration and the faults. nature.py
says how the simulated policy answers and learns. straight.py says, in plain synchronous Python, what the run without
faults does; invariants.py compares with it.
"""

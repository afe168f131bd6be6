"""Exact references: the theory in rational arithmetic, word for word and without a rounding.

Each module carries the name of the part of rlcore that it checks and shares no line with it: it stands on Python's
integers alone, imports nothing of rlcore outside this folder and runs where the compiled core does not exist. Where
the core iterates or factorises in floating point, the reference eliminates in integers; where the core certifies an
error, the reference shows the error.

Models are plain nested lists. ``transition[s][a][t]`` is the probability P(t | s, a), ``reward[s][a]`` the expected
reward r(s, a), ``policy[s][a]`` the probability pi(a | s), ``initial[s]`` the start distribution rho0(s). States may
have different numbers of actions. A row of ``transition`` that sums to less than 1 ends the process with the missing
probability: termination needs no argument of its own. Nothing is normalised: floats are taken at their exact binary
values, and what is computed is the model as it is stored, with its rounding defects (see :func:`exact`).

Examples
--------
Wait for the reward or give up: what is it worth to wait every other time?

>>> from fractions import Fraction
>>> half = Fraction(1, 2)
>>> transition = [[[half, half], [0, 0]], [[0, 1]]]     # state 0: wait, give up; state 1 has one action
>>> reward = [[0, 1], [2]]
>>> policy = [[half, half], [1]]
>>> result = evaluate(transition, reward, policy, gamma=half, initial=[1, 0])
>>> [str(v) for v in result.value]
['8/7', '4']
>>> visits = occupancy(transition, policy, [1, 0], gamma=half).visits
>>> [str(rho) for rho in visits]                        # and 8/7 * (1/2 * 0 + 1/2 * 1) + 2/7 * 2 = 8/7 again
['8/7', '2/7']
"""

from .evaluation import Evaluation, evaluate
from .occupancy import Occupancy, occupancy, state_distribution, successor_representation
from .rational import exact

__all__ = [
    "Evaluation",
    "Occupancy",
    "evaluate",
    "exact",
    "occupancy",
    "state_distribution",
    "successor_representation",
]

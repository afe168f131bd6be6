"""Pictures of values, policies, occupancies, distributions, chains, convergence, settings, improvement, gradients.

Every function draws into the Matplotlib axes ``ax``, or into those of a new figure, and returns them. Matplotlib is an
optional package, ``pip install 'rlcore[plot]'``, and is imported when the first picture is drawn.
"""

from rlcore.plot.chains import chain
from rlcore.plot.gradients import gradient_estimates
from rlcore.plot.history import convergence
from rlcore.plot.improvements import bounds, improvement
from rlcore.plot.limits import objectives, settings
from rlcore.plot.policies import policy
from rlcore.plot.runs import improvement_runs
from rlcore.plot.states import occupancy, state_distribution, value

__all__ = [
    "bounds",
    "chain",
    "convergence",
    "gradient_estimates",
    "improvement",
    "improvement_runs",
    "objectives",
    "occupancy",
    "policy",
    "settings",
    "state_distribution",
    "value",
]

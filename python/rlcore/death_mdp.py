"""The process in which a discount is the probability to live on (theory 3.5)."""

from __future__ import annotations

from rlcore.mdp import MDP, as_mdp
from rlcore.settings import Discounted, as_discounted


def death_mdp(mdp: MDP, gamma: Discounted | float) -> MDP:
    """Make the model in which every step may be the last one, with probability 1 - gamma.

    P becomes gamma P, and termination becomes 1 - gamma (1 - termination). Rewards stay as they are. What a policy
    is worth in this model without a discount is what it is worth in the given one with it, and so are its visits.

    Parameters
    ----------
    mdp
        The model.
    gamma
        The probability to go on after a step that does not end the process anyway, or a `Discounted` setting.

    Returns
    -------
    MDP
        With the same states, pairs, rewards, start distribution and labels.

    Raises
    ------
    ArgumentError
        If `mdp` is not a model.
    SettingError
        If gamma is not in [0, 1).

    Notes
    -----
    Theory 3.5; Puterman 1994, 5.3; Sutton & Barto 2018, 5.8. The expected lifetime is the sum of the visits,
    1 / (1 - gamma) if the given model never ends.

    Examples
    --------
    >>> import rlcore as rl
    >>> mortal = rl.death_mdp(rl.gallery.forest(), 0.75)
    >>> mortal.termination
    array([[0.25, 0.25],
           [0.25, 0.25],
           [0.25, 0.25]])
    >>> mortal.transition.toarray()[0]
    array([0.075, 0.675, 0.   ])
    """
    mdp = as_mdp(mdp)
    discount = as_discounted(gamma, "death_mdp").gamma
    return MDP(
        mdp.transition * discount,
        mdp.reward,
        pair_start=mdp.pair_start,
        # 1 - gamma (1 - termination), without the cancellation near gamma = 1.
        termination=(1.0 - discount) + discount * mdp.termination,
        initial=mdp.initial,
        state_labels=mdp.state_labels,
        action_labels=mdp.action_labels,
        pair_action=mdp.pair_action,
    )

"""Models in which the states stand in a line or in a circle."""

from __future__ import annotations

import string

import numpy as np

from rlcore.errors import ModelError
from rlcore.gallery._arguments import as_count, as_generator, as_number, as_probability
from rlcore.gallery._rows import Columns, equal_row_starts, ordered, summed, surely
from rlcore.mdp import MDP


def queue(
    S: int,
    *,
    arrival: float = 0.35,
    slow: float = 0.3,
    fast: float = 0.6,
    holding: float = 1.0,
    effort: float = 10.0,
) -> MDP:
    """Return a queue with one server, who works slowly for nothing or fast at a price.

    The state is the number of customers, 0 to S - 1. In each step one arrives with probability `arrival`; one leaves
    with probability `slow` or `fast`, as the action says, unless there is none; otherwise nothing happens. Whoever
    finds S - 1 customers goes away. A step costs `holding` for each customer, and `effort` more with fast service;
    costs are negative rewards.

    Parameters
    ----------
    S
        The number of queue lengths, at least 2.
    arrival, slow, fast
        Probabilities of an arrival and of a departure under each action, with slow <= fast and arrival + fast <= 1.
    holding
        The cost of a customer in a step.
    effort
        The cost of fast service in a step.

    Returns
    -------
    MDP
        S states; the actions "slow" and "fast"; starts empty.

    Raises
    ------
    ModelError
        If S, a probability or a cost is out of its range.

    Notes
    -----
    An M/M/1 queue with controlled service rate and finite room, made discrete by uniformisation: S. A. Lippman,
    "Applying a new device in the optimization of exponential queuing systems", Operations Research 23(4), 1975. Under
    a constant departure probability mu, the stationary probability of s customers is proportional to (arrival/mu)^s.
    With the default numbers slow service cannot keep up, and the uniform policy can.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.queue(4)
    >>> mdp.transition.toarray()[2 * 2 + 1].round(6)
    array([0.  , 0.6 , 0.05, 0.35])
    >>> mdp.reward[2]
    array([ -2., -12.])
    """
    S = as_count(S, "S", 2)
    arrival, rates = as_probability(arrival, "arrival"), (as_probability(slow, "slow"), as_probability(fast, "fast"))
    holding, effort = as_number(holding, "holding"), as_number(effort, "effort")
    if rates[0] > rates[1]:
        raise ModelError(f"fast: expected at least slow = {rates[0]}, got {rates[1]}")
    if arrival + rates[1] > 1.0:
        raise ModelError(f"arrival: expected arrival + fast <= 1, got {arrival} + {rates[1]}")
    lengths, pairs = np.repeat(np.arange(S), 2), np.arange(2 * S)
    departure = np.where(lengths > 0, np.tile(rates, S), 0.0)
    joining = np.where(lengths < S - 1, arrival, 0.0)
    transition = summed(
        rows=np.tile(pairs, 3),
        columns=np.concatenate([np.maximum(lengths - 1, 0), lengths, np.minimum(lengths + 1, S - 1)]),
        probabilities=np.concatenate([departure, 1.0 - (departure + joining), joining]),
        shape=(2 * S, S),
    )
    reward = -holding * lengths - effort * (pairs % 2)
    return MDP(transition, reward, initial=surely(0, S), action_labels=("slow", "fast"))


def shuffled_cycle(S: int, seed: int | np.random.Generator = 0) -> MDP:
    """Return a cycle through all states in a random order.

    There is one action, and it leads to the next state for certain. Leaving state 0 pays 1 and nothing else pays.

    Parameters
    ----------
    S
        The number of states, at least 2.
    seed
        A whole number or a generator; the same number gives the same order.

    Returns
    -------
    MDP
        S states with one action; starts in state 0.

    Raises
    ------
    ModelError
        If S or seed is out of its range.

    Notes
    -----
    Neighbours in the cycle are far apart in memory, which makes it hard for methods that sweep. The chain has period S,
    so that its state distribution has no limit; in the average every state holds 1 / S of the time. A state that is k
    steps before state 0 is worth gamma^k / (1 - gamma^S).

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.shuffled_cycle(4)
    >>> mdp.transition.toarray().sum(axis=0)
    array([1., 1., 1., 1.])
    >>> ev = rl.evaluate(mdp, rl.uniform_policy(mdp), 0.5)
    >>> print(f"{ev.start_value:.12f} {1 / (1 - 0.5**4):.12f}")
    1.066666666667 1.066666666667
    """
    S = as_count(S, "S", 2)
    order = as_generator(seed).permutation(S).astype(np.int32)
    successor: Columns = np.empty(S, np.int32)
    successor[order] = np.roll(order, -1)
    return MDP(
        ordered(successor, np.ones(S), equal_row_starts(S, 1), S),
        surely(0, S),
        initial=surely(0, S),
        action_labels=["on"],
    )


def lazy_cycle(S: int, laziness: float = 0.5) -> MDP:
    """Return a cycle on which each state is left only now and then.

    There is one action. It leads from s to s + 1, and from the last state to 0, with probability 1 - laziness, and
    stays otherwise. State 0 pays 1 in each step and nothing else pays.

    Parameters
    ----------
    S
        The number of states, at least 2.
    laziness
        The probability of staying, in [0, 1].

    Returns
    -------
    MDP
        S states with one action; starts in state 0.

    Raises
    ------
    ModelError
        If S or laziness is out of its range.

    Notes
    -----
    The lazy walk on a directed circle: D. A. Levin and Y. Peres, Markov Chains and Mixing Times, 2nd edition, 2017,
    section 1.3, on making chains aperiodic. P(s | s) = laziness, P(s + 1 mod S | s) = 1 - laziness. Every state holds
    1 / S of the time in the long run, but forgetting the start takes about S^2 steps. With
    z = gamma (1 - laziness) / (1 - gamma laziness), state 0 is worth 1 / ((1 - gamma laziness) (1 - z^S)).

    Examples
    --------
    >>> import rlcore as rl
    >>> rl.gallery.lazy_cycle(3, laziness=0.25).transition.toarray()
    array([[0.25, 0.75, 0.  ],
           [0.  , 0.25, 0.75],
           [0.75, 0.  , 0.25]])
    """
    S, laziness = as_count(S, "S", 2), as_probability(laziness, "laziness")
    states = np.arange(S)
    transition = summed(
        rows=np.tile(states, 2),
        columns=np.concatenate([states, (states + 1) % S]),
        probabilities=np.repeat([laziness, 1.0 - laziness], S),
        shape=(S, S),
    )
    return MDP(transition, surely(0, S), initial=surely(0, S), action_labels=["on"])


def random_walk(n: int = 5) -> MDP:
    """Return the random walk of Sutton & Barto, example 6.2, which ends at either side.

    There is one action: it leads to the left or to the right neighbour, each with probability 1/2. Beyond the first
    and the last state the episode is over. Ending on the right pays 1 and nothing else pays.

    Parameters
    ----------
    n
        The number of states, at least 1.

    Returns
    -------
    MDP
        n states, labelled "A", "B", ... if there are at most 26, with one action; starts in state n // 2, the middle
        one if n is odd.

    Raises
    ------
    ModelError
        If n is out of its range.

    Notes
    -----
    R. S. Sutton and A. G. Barto, Reinforcement Learning: An Introduction, 2nd edition, 2018, example 6.2. The value of
    state s = 0 .. n - 1 is the probability of ending on the right, (s + 1) / (n + 1). The expected time to the end is
    (s + 1) (n - s): for n = 3 this is the drunkard's walk of C. M. Grinstead and J. L. Snell, Introduction to
    Probability, 2nd edition, 1997, example 11.13 and its continuations.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.random_walk()
    >>> mdp.state_labels
    ('A', 'B', 'C', 'D', 'E')
    >>> mdp.reward.ravel(), mdp.termination.ravel()
    (array([0. , 0. , 0. , 0. , 0.5]), array([0.5, 0. , 0. , 0. , 0.5]))
    """
    n = as_count(n, "n", 1)
    states, termination = np.arange(n), np.zeros(n)
    termination[0] += 0.5
    termination[-1] += 0.5
    transition = summed(
        rows=np.concatenate([states[1:], states[:-1]]),
        columns=np.concatenate([states[:-1], states[1:]]),
        probabilities=np.full(2 * n - 2, 0.5),
        shape=(n, n),
    )
    labels = list(string.ascii_uppercase[:n]) if n <= len(string.ascii_uppercase) else None
    return MDP(
        transition,
        0.5 * surely(n - 1, n),
        termination=termination,
        initial=surely(n // 2, n),
        state_labels=labels,
        action_labels=["step"],
    )


def drunkards_walk() -> MDP:
    """Return the drunkard's walk between home and the bar.

    A man stands at corner 1, 2 or 3 of a street. There is one action: he goes to the corner on the left or on the
    right, each with probability 1/2. Left of corner 1 is his home and right of corner 3 the bar, and there the episode
    is over. Getting home pays 1 and nothing else pays.

    Returns
    -------
    MDP
        3 states, labelled 1, 2 and 3, with one action; starts at corner 2.

    Notes
    -----
    C. M. Grinstead and J. L. Snell, Introduction to Probability, 2nd edition, 1997, example 11.13 and its
    continuations. Expected visits are N = (I - P)^-1 = [[3, 2, 1], [2, 4, 2], [1, 2, 3]] / 2, and lengths 3, 4 and 3,
    the sums of the rows. He gets home with probability 3/4, 1/2 and 1/4.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.drunkards_walk()
    >>> mdp.transition.toarray()
    array([[0. , 0.5, 0. ],
           [0.5, 0. , 0.5],
           [0. , 0.5, 0. ]])
    >>> rl.evaluate(mdp, rl.uniform_policy(mdp), rl.Episodic()).value.round(9)
    array([0.75, 0.5 , 0.25])
    """
    neighbours = np.array([0, 1, 1, 2]), np.array([1, 0, 2, 1])
    return MDP(
        summed(*neighbours, np.full(4, 0.5), shape=(3, 3)),
        0.5 * surely(0, 3),
        termination=0.5 * (surely(0, 3) + surely(2, 3)),
        initial=surely(1, 3),
        state_labels=(1, 2, 3),
        action_labels=["step"],
    )


def oz() -> MDP:
    """Return the weather in the Land of Oz.

    There is rain, nice weather or snow, one of them each day. There are never two nice days in a row: the next day it
    snows or rains, equally likely. After rain or snow, the weather stays as it is with probability 1/2; if it changes,
    it is nice half of the time. Nice weather pays 1 and nothing else pays.

    Returns
    -------
    MDP
        3 states, labelled "rain", "nice" and "snow", with one action; starts in each of them equally likely.

    Notes
    -----
    J. G. Kemeny and J. L. Snell, Finite Markov Chains, 1960, section 4.1 and throughout chapter 4; also C. M. Grinstead
    and J. L. Snell, Introduction to Probability, 2nd edition, 1997, example 11.1. In the long run it rains on 2/5 of
    the days, is nice on 1/5 and snows on 2/5. Mean first passage times are
    [[5/2, 4, 10/3], [8/3, 5, 8/3], [10/3, 4, 5/2]] days.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.oz()
    >>> mdp.transition.toarray()
    array([[0.5 , 0.25, 0.25],
           [0.5 , 0.  , 0.5 ],
           [0.25, 0.25, 0.5 ]])
    >>> rl.occupancy(mdp, rl.uniform_policy(mdp), rl.Average()).state.round(9)
    array([0.4, 0.2, 0.4])
    """
    transition = summed(
        rows=np.array([0, 0, 0, 1, 1, 2, 2, 2]),
        columns=np.array([0, 1, 2, 0, 2, 0, 1, 2]),
        probabilities=np.array([0.5, 0.25, 0.25, 0.5, 0.5, 0.25, 0.25, 0.5]),
        shape=(3, 3),
    )
    return MDP(
        transition,
        surely(1, 3),
        initial=np.full(3, 1 / 3),
        state_labels=("rain", "nice", "snow"),
        action_labels=["wait"],
    )


def short_corridor() -> MDP:
    """Return the short corridor of Sutton & Barto, example 13.1, in which left and right are switched in one state.

    Three states in a row, with the goal to the right of the last. "right" and "left" lead to that side, but in state 1
    they lead to the other one. Left of state 0 is a wall. Every step pays -1; the episode is over at the goal.

    Returns
    -------
    MDP
        3 states; the actions "left" and "right"; starts in state 0.

    Notes
    -----
    R. S. Sutton and A. G. Barto, Reinforcement Learning: An Introduction, 2nd edition, 2018, example 13.1. A policy
    that cannot tell the states apart and goes right with probability p has the start value -2 (2 - p) / (p (1 - p)),
    which is best, -6 - 4 sqrt 2, at p = 2 - sqrt 2. The optimal policy, which can, takes 3 steps.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.short_corridor()
    >>> mdp.transition.toarray().reshape(3, 2, 3)[:, 1]  # right
    array([[0., 1., 0.],
           [1., 0., 0.],
           [0., 0., 0.]])
    >>> mdp.termination[2]
    array([0., 1.])
    """
    pairs, successor = np.arange(5), np.array([0, 1, 2, 0, 1])
    transition = summed(pairs, successor, np.ones(5), shape=(6, 3))
    return MDP(
        transition,
        np.full(6, -1.0),
        termination=surely(5, 6),
        initial=surely(0, 3),
        action_labels=("left", "right"),
    )


def blind_shuttle() -> MDP:
    """Return a shuttle between two ends that pays for crossing, for policies that cannot see at which end they are.

    Two states, and the actions "left" and "right". To go to the other end pays 1; to go where one is already pays 0.
    A policy that sees its end crosses every time. One that goes right with the same probability p at both ends misses
    half of its crossings, and so much that the best p is hardly to be found by steps.

    Returns
    -------
    MDP
        2 states, "left end" and "right end"; the actions "left" and "right"; starts at the left end.

    Notes
    -----
    Made for theory 7.4. With the same p at both ends the return is p (1 + gamma - 2 gamma p) / (1 - gamma), which is
    best at p = (1 + gamma) / (4 gamma). At p = 1/2 + x it is that of the uniform policy and x - 2 gamma x^2 /
    (1 - gamma), while the surrogate promises x for every x: a step of a given length is an improvement only where it is
    short. The features of such policies are ``mdp.pair_action[:, None]``: the log-odds of "right" is the one parameter.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.blind_shuttle()
    >>> x = 0.07                                                # KL = 0.0099 in both states
    >>> report = rl.check_improvement(mdp, rl.uniform_policy(mdp), [[0.5 - x, 0.5 + x]] * 2, 0.95)
    >>> round(report.surrogate - report.eta, 6), round(report.eta_new - report.eta, 6)
    (0.07, -0.1162)
    """
    pairs, successor = np.arange(4), np.array([0, 1, 0, 1])
    return MDP(
        summed(pairs, successor, np.ones(4), shape=(4, 2)),
        [0.0, 1.0, 1.0, 0.0],
        pair_start=[0, 2, 4],
        initial=surely(0, 2),
        state_labels=("left end", "right end"),
        action_labels=("left", "right"),
    )


def wrong_way(margin: float = 1 / 16) -> MDP:
    """Return a model in which the practical gradient points the wrong way (theory 4.5).

    Three states, one after the other. In state 0, "right" pays 1. In state 1, "right" costs 2 - margin and goes on to
    state 2, where either action pays 1 and ends the episode. "left" pays nothing; in state 1 it ends the episode.

    Parameters
    ----------
    margin
        What going right all the way earns without a discount, in (0, 1).

    Returns
    -------
    MDP
        3 states; the actions "left" and "right"; starts in state 0.

    Raises
    ------
    ModelError
        If the margin is out of its range.

    Notes
    -----
    After an idea of C. Nota and P. S. Thomas, "Is the policy gradient a gradient?", AAMAS 2020. A policy that goes
    right with the same probability p in all states has the start value p ((1 - gamma)^2 + gamma margin), with gamma = 1
    without a discount: more of p is better at every discount. The derivative by p is made of the advantages of going
    right, 1 in state 0 and gamma - 2 + margin in state 1, of which the second comes a step later and counts gamma
    times. If it counts in full, the sum is gamma - 1 + margin, negative for gamma < 1 - margin: following it leads to
    p = 0, the worst policy of all.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.wrong_way()
    >>> always_right = rl.deterministic_policy(mdp, [1, 1, 1])
    >>> [rl.evaluate(mdp, always_right, setting).start_value for setting in (rl.Discounted(0.5), rl.Episodic())]
    [0.28125, 0.0625]
    """
    margin = as_number(margin, "margin")
    if not 0.0 < margin < 1.0:
        raise ModelError(f"margin: expected a number between 0 and 1, got {margin!r}")
    transition = summed(np.array([0, 1, 3]), np.array([1, 1, 2]), np.ones(3), shape=(6, 3))
    return MDP(
        transition,
        np.array([0.0, 1.0, 0.0, margin - 2.0, 1.0, 1.0]),
        termination=np.array([0.0, 0.0, 1.0, 0.0, 1.0, 1.0]),
        initial=surely(0, 3),
        action_labels=("left", "right"),
    )


def river_swim(S: int = 6) -> MDP:
    """Return the river in which it is easy to drift down and hard, but worth it, to swim up.

    "left" goes one state down for certain; in state 0 it stays there and pays 5. "right" goes up with probability 0.3,
    stays with 0.6 and is carried down with 0.1; in state 0 it stays with 0.7; in the last state it stays with 0.3,
    which pays 10,000, and is carried down with 0.7.

    Parameters
    ----------
    S
        The number of states, at least 3.

    Returns
    -------
    MDP
        S states; the actions "left" and "right"; starts in state 1 or 2, equally likely.

    Raises
    ------
    ModelError
        If S is out of its range.

    Notes
    -----
    A. L. Strehl and M. L. Littman, "An analysis of model-based interval estimation for Markov decision processes",
    Journal of Computer and System Sciences 74(8), 2008, with S = 6. The reward of a pair is its expectation: 3000 for
    "right" in the last state. Always swimming right balances every two neighbours: with w_0 = 1, w_s = 3^s for
    0 < s < S - 1 and w_(S-1) = 3^(S-1) / 7, state s holds w_s / sum w of the time.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.river_swim(4)
    >>> mdp.transition.toarray().reshape(4, 2, 4)[:, 1]  # right
    array([[0.7, 0.3, 0. , 0. ],
           [0.1, 0.6, 0.3, 0. ],
           [0. , 0.1, 0.6, 0.3],
           [0. , 0. , 0.7, 0.3]])
    >>> mdp.reward
    array([[   5.,    0.],
           [   0.,    0.],
           [   0.,    0.],
           [   0., 3000.]])
    """
    S = as_count(S, "S", 3)
    states = np.arange(S)
    lower, upper = np.maximum(states - 1, 0), np.minimum(states + 1, S - 1)
    down, stay, up = np.full(S, 0.1), np.full(S, 0.6), np.full(S, 0.3)
    down[[0, -1]], stay[[0, -1]], up[-1] = (0.0, 0.7), (0.7, 0.3), 0.0
    transition = summed(
        rows=np.concatenate([2 * states, *3 * [2 * states + 1]]),
        columns=np.concatenate([lower, lower, states, upper]),
        probabilities=np.concatenate([np.ones(S), down, stay, up]),
        shape=(2 * S, S),
    )
    reward = np.zeros((S, 2))
    reward[0, 0], reward[-1, 1] = 5.0, 3000.0
    initial = 0.5 * (surely(1, S) + surely(2, S))
    return MDP(transition, reward, initial=initial, action_labels=("left", "right"))


def chain(S: int = 5, slip: float = 0.2) -> MDP:
    """Return the chain that pays 10 at its far end, and 2 for giving up.

    "forward" goes one state on, and in the last state it stays and pays 10. "back" goes to state 0 and pays 2. With
    probability `slip` an action has the effect of the other one.

    Parameters
    ----------
    S
        The number of states, at least 2.
    slip
        The probability that an action has the other one's effect, in [0, 1].

    Returns
    -------
    MDP
        S states; the actions "forward" and "back"; starts in state 0.

    Raises
    ------
    ModelError
        If S or slip is out of its range.

    Notes
    -----
    R. Dearden, N. Friedman and S. Russell, "Bayesian Q-learning", AAAI 1998, figure 1; M. Strens, "A Bayesian framework
    for reinforcement learning", ICML 2000. The reward of a pair is its expectation over slipping. Always going forward
    holds the last state (1 - slip)^(S-1) of the time, so its gain is 2 slip + 10 (1 - slip)^S: 3.6768 for the default
    numbers, which is Strens's 3677 in a phase of 1000 steps.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.chain()
    >>> mdp.reward[[0, 4]]
    array([[0.4, 1.6],
           [8.4, 3.6]])
    >>> mdp.transition.toarray()[2 * 1]
    array([0.2, 0. , 0.8, 0. , 0. ])
    """
    S, slip = as_count(S, "S", 2), as_probability(slip, "slip")
    onward = np.tile([1.0 - slip, slip], S)  # of each pair: the probability of going forward in fact
    pairs, states = np.arange(2 * S), np.repeat(np.arange(S), 2)
    transition = summed(
        rows=np.tile(pairs, 2),
        columns=np.concatenate([np.zeros(2 * S, int), np.minimum(states + 1, S - 1)]),
        probabilities=np.concatenate([1.0 - onward, onward]),
        shape=(2 * S, S),
    )
    reward = 2.0 * (1.0 - onward) + np.where(states == S - 1, 10.0 * onward, 0.0)
    return MDP(transition, reward, initial=surely(0, S), action_labels=("forward", "back"))

"""Decisions of firms and gamblers: forestry, betting, taxis, toys, stock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rlcore.errors import ModelError
from rlcore.gallery._arguments import as_count, as_number, as_probability
from rlcore.gallery._rows import evenly, labels_if_few, summed
from rlcore.mdp import MDP
from rlcore.results import FloatArray


def forest(S: int = 3, r1: float = 4.0, r2: float = 2.0, p: float = 0.1) -> MDP:
    """Return the forest that is left to grow or cut each year, and may burn.

    A forest of age class s < S - 1 grows to s + 1 if left alone, the oldest class stays; with probability p it burns
    down to class 0 instead. Cut, it is in class 0 for certain. Waiting pays r1 in the oldest class and nothing before;
    cutting pays 0 in class 0, r2 in the oldest class and 1 in between.

    Parameters
    ----------
    S
        The number of age classes, at least 2.
    r1, r2
        What waiting and cutting pay in the oldest class.
    p
        The probability of fire in a year, in [0, 1].

    Returns
    -------
    MDP
        S states; the actions "wait" and "cut"; every state is equally likely at the start.

    Raises
    ------
    ModelError
        If S, r1, r2 or p is out of its range.

    Notes
    -----
    The example of the MDP toolboxes for MATLAB and Python: I. Chadès, G. Chapron, M.-J. Cros, F. Garcia and
    R. Sabbadin, "MDPtoolbox: a multi-platform toolbox to solve stochastic dynamic programming problems", Ecography
    37(9), 2014. Tossing a coin each year is worth 7.9672916667 at gamma 0.9.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.forest()
    >>> mdp.action_labels
    ('wait', 'cut')
    >>> mdp.transition.toarray()[:2]
    array([[0.1, 0.9, 0. ],
           [1. , 0. , 0. ]])
    """
    S = as_count(S, "S", 2)
    p = as_probability(p, "p")
    ages = np.arange(S)
    wait, cut = 2 * ages, 2 * ages + 1
    older = np.minimum(ages + 1, S - 1)
    transition = summed(
        rows=np.concatenate([wait, wait, cut]),
        columns=np.concatenate([np.zeros(S, int), older, np.zeros(S, int)]),
        probabilities=np.repeat([p, 1.0 - p, 1.0], S),
        shape=(2 * S, S),
    )
    reward = np.tile([0.0, 1.0], (S, 1))
    reward[0, 1] = 0.0
    reward[-1] = [as_number(r1, "r1"), as_number(r2, "r2")]
    return MDP(transition, reward, initial=evenly(S), action_labels=("wait", "cut"))


def gambler(goal: int = 100, p: float = 0.4) -> MDP:
    """Return the gambler of Sutton & Barto, example 4.3, who bets on a coin until rich or ruined.

    With a capital of s the gambler stakes 1 .. min(s, goal - s), wins as much with probability p, and loses it
    otherwise. The game is over at 0 and at `goal`; reaching the goal pays 1 and nothing else pays.

    Parameters
    ----------
    goal
        The capital to be reached, at least 2.
    p
        The probability of winning a bet, in [0, 1].

    Returns
    -------
    MDP
        goal - 1 states, labelled with the capital 1 .. goal - 1 if there are at most 100,000, and a pair for each
        possible stake, so that action sets differ; actions are labelled with the stake; every capital is equally
        likely at the start.

    Raises
    ------
    ModelError
        If goal or p is out of its range.

    Notes
    -----
    R. S. Sutton and A. G. Barto, Reinforcement Learning: An Introduction, 2nd edition, 2018, example 4.3; without their
    stake of 0, with which the game need not end. P(s + x | s,x) = p and P(s - x | s,x) = 1 - p. The optimal value is
    the highest probability of reaching the goal. For p <= 1/2 staking all that can be of use, min(s, goal - s), is
    optimal (L. E. Dubins and L. J. Savage, How to Gamble If You Must, 1965), so half the goal is worth p and a quarter
    p^2.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.gambler(4)
    >>> mdp.pair_start
    array([0, 1, 3, 4])
    >>> mdp.to_table(mdp.termination)
    array([[0.6, nan],
           [0. , 1. ],
           [0.4, nan]])
    """
    goal, p = as_count(goal, "goal", 2), as_probability(p, "p")
    capital = np.arange(1, goal)
    choices = np.minimum(capital, goal - capital)
    pair_start = np.concatenate([[0], np.cumsum(choices)])
    capitals = np.repeat(capital, choices)
    pairs = np.arange(capitals.size)
    stakes = pairs - np.repeat(pair_start[:-1], choices) + 1
    poorer, richer = capitals - stakes, capitals + stakes
    going_on, winning = poorer > 0, richer == goal
    transition = summed(
        rows=np.concatenate([pairs[going_on], pairs[~winning]]),
        columns=np.concatenate([poorer[going_on], richer[~winning]]) - 1,
        probabilities=np.repeat([1.0 - p, p], [going_on.sum(), (~winning).sum()]),
        shape=(pairs.size, goal - 1),
    )
    return MDP(
        transition,
        p * winning,
        pair_start=pair_start,
        termination=(1.0 - p) * ~going_on + p * winning,
        initial=evenly(goal - 1),
        state_labels=labels_if_few(range(1, goal), goal - 1),
        action_labels=range(1, goal // 2 + 1),
    )


def taxicab() -> MDP:
    """Return Howard's taxi driver, who works in three towns and chooses how to find the next passenger.

    In towns A and C the driver can cruise, drive to the nearest cab stand, or wait for a radio call; town B has no
    radio. Each choice has its probabilities of the next trip's destination, and each trip its fare.

    Returns
    -------
    MDP
        3 states, labelled "A", "B" and "C", with 3, 2 and 3 of the actions "cruise", "stand" and "radio"; every town
        is equally likely at the start.

    Notes
    -----
    R. A. Howard, Dynamic Programming and Markov Processes, 1960, chapter 5. The reward of a pair is its expected fare
    r(s,a) = sum_s' P(s' | s,a) fare(s,a,s'). Always cruising gains 9.2 a trip; driving to the stand in every town is
    optimal and gains 13.34.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.taxicab()
    >>> mdp.to_table(mdp.reward)
    array([[ 8.  ,  2.75,  4.25],
           [16.  , 15.  ,   nan],
           [ 7.  ,  4.  ,  4.5 ]])
    """
    chances = [
        [[8, 4, 4], [1, 12, 3], [4, 2, 10]],
        [[8, 0, 8], [1, 14, 1]],
        [[4, 4, 8], [2, 12, 2], [12, 1, 3]],
    ]
    fares = [
        [[10, 4, 8], [8, 2, 4], [4, 6, 4]],
        [[14, 0, 18], [8, 16, 8]],
        [[10, 2, 8], [6, 4, 2], [4, 0, 8]],
    ]
    P, fare = np.concatenate(chances) / 16, np.concatenate(fares)
    return MDP(
        P,
        (P * fare).sum(axis=1),
        pair_start=[0, 3, 5, 8],
        initial=evenly(3),
        state_labels=("A", "B", "C"),
        action_labels=("cruise", "stand", "radio"),
    )


def toymaker() -> MDP:
    """Return Howard's toymaker, whose toys are in favour or not, and who can pay to change that.

    Each week the toy is a success or a failure. With a success the toymaker can save or advertise, with a failure save
    or do research; spending makes success more likely in the next week.

    Returns
    -------
    MDP
        2 states, labelled "success" and "failure"; the actions "save" and "spend"; each state is equally likely at the
        start.

    Notes
    -----
    R. A. Howard, Dynamic Programming and Markov Processes, 1960, chapters 2 to 4 and 7. The reward of a pair is its
    expected profit: 6 or 4 with a success, -3 or -5 with a failure. Saving gains 1 a week; spending is optimal and
    gains 2, with a success worth 10 more than a failure under both.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.toymaker()
    >>> mdp.transition.toarray()
    array([[0.5, 0.5],
           [0.8, 0.2],
           [0.4, 0.6],
           [0.7, 0.3]])
    >>> mdp.reward
    array([[ 6.,  4.],
           [-3., -5.]])
    """
    return MDP(
        [[0.5, 0.5], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]],
        # Profits from week to week: 9 and 3, 4 and 4; 3 and -7, 1 and -19.
        reward=[6.0, 4.0, -3.0, -5.0],
        initial=evenly(2),
        state_labels=("success", "failure"),
        action_labels=("save", "spend"),
    )


def inventory(
    capacity: int = 3,
    demand: Sequence[float] = (0.25, 0.5, 0.25),
    *,
    fixed: float = 4.0,
    unit: float = 2.0,
    holding: float = 1.0,
    price: float = 8.0,
) -> MDP:
    """Return a store that orders stock each month before it knows the demand.

    With s units in stock the store orders 0 .. capacity - s more, which arrive at once. Then customers ask for D units,
    and what cannot be served is lost. Each unit sold pays `price`; an order costs `fixed` and `unit` for each unit;
    each unit in stock after the order costs `holding`. Costs are negative rewards.

    Parameters
    ----------
    capacity
        The largest stock, at least 1.
    demand
        The probabilities of a demand of 0, 1, 2, ... units.
    fixed, unit, holding
        The cost of an order, of each unit ordered, and of each unit in stock after the order.
    price
        What each unit sold pays.

    Returns
    -------
    MDP
        capacity + 1 states, the units in stock, and a pair for each possible order, so that action sets differ; action
        a orders a units; starts with an empty store.

    Raises
    ------
    ModelError
        If capacity, a cost or the price is out of its range, or `demand` is not a distribution.

    Notes
    -----
    M. L. Puterman, Markov Decision Processes: Discrete Stochastic Dynamic Programming, 1994, section 3.2, with the
    numbers of section 3.2.1 as the defaults. With y = s + a: s' = max(y - D, 0) and
    r(s,a) = price E[min(D, y)] - (fixed + unit a) [a > 0] - holding y.

    Examples
    --------
    >>> import rlcore as rl
    >>> mdp = rl.gallery.inventory()
    >>> mdp.to_table(mdp.reward)
    array([[ 0., -1., -2., -5.],
           [ 5.,  0., -3., nan],
           [ 6., -1., nan, nan],
           [ 5., nan, nan, nan]])
    >>> mdp.transition.toarray()[mdp.pair_start[0] + 2]  # two units ordered for an empty store
    array([0.25, 0.5 , 0.25, 0.  ])
    """
    capacity, chance = as_count(capacity, "capacity", 1), _as_distribution(demand, "demand")
    fixed, unit = as_number(fixed, "fixed"), as_number(unit, "unit")
    holding, price = as_number(holding, "holding"), as_number(price, "price")
    choices = np.arange(capacity + 1, 0, -1)
    pair_start = np.concatenate([[0], np.cumsum(choices)])
    stock = np.repeat(np.arange(capacity + 1), choices)
    pairs = np.arange(stock.size)
    orders = pairs - np.repeat(pair_start[:-1], choices)
    supply, wanted = (stock + orders)[:, np.newaxis], np.arange(chance.size)
    transition = summed(
        rows=np.repeat(pairs, chance.size),
        columns=np.maximum(supply - wanted, 0).ravel(),
        probabilities=np.tile(chance, pairs.size),
        shape=(pairs.size, capacity + 1),
    )
    paid = np.where(orders > 0, fixed + unit * orders, 0.0) + holding * supply.ravel()
    reward = price * (np.minimum(wanted, supply) @ chance) - paid
    initial = np.concatenate([[1.0], np.zeros(capacity)])
    return MDP(transition, reward, pair_start=pair_start, initial=initial)


def _as_distribution(value: Any, argument: str) -> FloatArray:
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str):
        raise ModelError(f"{argument}: expected a list of probabilities, got {value!r}")
    chance = np.array([as_probability(each, f"{argument}[{place}]") for place, each in enumerate(value)])
    if not abs(chance.sum() - 1.0) <= 1e-9:
        raise ModelError(f"{argument}: expected probabilities that sum to 1, got a sum of {chance.sum()!s}")
    return chance

#include "rlcore/chain_structure.hpp"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <numeric>

#include "rlcore/components.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/reachability.hpp"

namespace rlcore {
namespace {

using Columns = ChainStructure::Columns;
using Flags = std::vector<char>;

/// Whether the policy takes an action that may lead from the one state to the other.
bool can_step(const Chain& chain, Index from, Column to) {
  const Mdp& mdp = chain.mdp();
  for (Index pair = mdp.first_pair(from); pair < mdp.first_pair(from + 1); ++pair) {
    if (chain.policy()[at(pair)] == 0.0) continue;
    const Row there = mdp.row(pair).between(to, Index{to} + 1);
    if (there.length > 0 && there.probability[0] > 0.0) return true;
  }
  return false;
}

/// Calls body(successor) for the steps from a state, until it returns false.
template <class Body>
bool for_successors(const CsrMatrix& steps, Index state, Body&& body) {
  const Index end = steps.first[state] + steps.length[state];
  for (Index entry = steps.first[state]; entry < end; ++entry) {
    if (steps.value[entry] != 0.0 && !body(steps.column[entry])) return false;
  }
  return true;
}

/// For each state, whether the process may end there.
Flags ending_states(const Chain& chain) {
  const Mdp& mdp = chain.mdp();
  Flags ends(at(chain.size()), 0);
  if (!mdp.can_end()) return ends;
  for (Index state = 0; state < chain.size(); ++state) {
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      if (chain.policy()[at(pair)] > 0.0 && mdp.termination()[at(pair)] > 0.0) ends[at(state)] = 1;
    }
  }
  return ends;
}

/// For each component, whether it is a recurrent class: no step leaves it and nothing ends in it.
Flags closed_components(const Components& components, const CsrMatrix& steps, const Flags& ends) {
  Flags closed(at(components.count()), 0);
  for (Index component = 0; component < components.count(); ++component) {
    const bool first = component == 0;  // steps lead to earlier components only, so none leaves the first
    const auto stays = [&](Column state) {
      return ends[at(state)] == 0 &&
             (first || for_successors(steps, state, [&](Column next) { return components.of(next) == component; }));
    };
    const auto states = components.states(component);
    closed[at(component)] = static_cast<char>(std::all_of(states.begin(), states.end(), stays));
  }
  return closed;
}

/// Numbers the closed components by their smallest states and sorts all states into them.
void collect_classes(ChainStructure& out, const Components& components, const Flags& closed, Index num_states) {
  constexpr Column kUnnumbered = -1;
  Columns number(at(components.count()), kUnnumbered);
  out.class_of.assign(at(num_states), ChainStructure::kTransient);
  for (Index state = 0; state < num_states; ++state) {
    const Index component = components.of(state);
    if (closed[at(component)] == 0) {
      out.transient.push_back(static_cast<Column>(state));
      continue;
    }
    if (number[at(component)] == kUnnumbered) {
      number[at(component)] = static_cast<Column>(out.num_classes());
      out.class_start.push_back(out.class_start.back() + std::ssize(components.states(component)));
    }
    out.class_of[at(state)] = number[at(component)];
  }
  out.recurrent.resize(at(out.class_start.back()));
  std::vector<Index> next(out.class_start.begin(), out.class_start.end() - 1);
  for (Index state = 0; state < num_states; ++state) {
    const Column its_class = out.class_of[at(state)];
    if (its_class != ChainStructure::kTransient) out.recurrent[at(next[at(its_class)]++)] = static_cast<Column>(state);
  }
}

/// The greatest common divisor of the lengths of all circles. Every state has a level, the number of steps on the
/// way by which it was found, and a step that leads elsewhere than one level up makes a circle with two such ways:
/// what is common to the excesses of all steps is common to all circles. `level` is -1 where nothing was found.
Index period_of(const CsrMatrix& steps, std::span<const Column> states, Columns& level) {
  Columns found;
  found.reserve(states.size());
  found.push_back(states.front());
  level[at(states.front())] = 0;
  Index period = 0;
  for (std::size_t next = 0; next < found.size() && period != 1; ++next) {
    const Column above = level[at(found[next])] + 1;
    for_successors(steps, found[next], [&](Column successor) {
      Column& here = level[at(successor)];
      if (here < 0) {
        here = above;
        found.push_back(successor);
      } else {
        period = std::gcd(period, std::abs(Index{above} - here));
      }
      return period != 1;
    });
  }
  return period;
}

/// A component is proper if it is no class and leads to proper ones only: all that it leads to comes before it.
Flags proper_states(const ChainStructure& structure, const Components& components, const CsrMatrix& steps) {
  const bool none_recurrent = structure.num_classes() == 0;
  Flags proper(at(steps.size), static_cast<char>(none_recurrent));
  if (none_recurrent) return proper;
  for (Index component = 0; component < components.count(); ++component) {
    const auto states = components.states(component);
    const auto leads_to_the_end = [&](Column state) {
      return structure.class_of[at(state)] == ChainStructure::kTransient &&
             for_successors(steps, state,
                            [&](Column next) { return components.of(next) == component || proper[at(next)] != 0; });
    };
    if (!std::all_of(states.begin(), states.end(), leads_to_the_end)) continue;
    for (const Column state : states) proper[at(state)] = 1;
  }
  return proper;
}

}  // namespace

CsrMatrix possible_steps(const Chain& chain, Team& team) {
  CsrMatrix steps = chain.transition(team);
  team.for_blocks(chain.size(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const Index end = steps.first[state] + steps.length[state];
      for (Index entry = steps.first[state]; entry < end; ++entry) {
        if (steps.value[entry] == 0.0 && can_step(chain, state, steps.column[entry])) {
          steps.value[entry] = std::numeric_limits<double>::min();
        }
      }
    }
  });
  return steps;
}

ChainStructure chain_structure(const Chain& chain, Team& team, Monitor& monitor) {
  return chain_structure(chain, possible_steps(chain, team), team, monitor);
}

ChainStructure chain_structure(const Chain& chain, const CsrMatrix& steps, Team& team, Monitor& monitor) {
  const auto report = [&](Index phase) { monitor.poll({"chain structure", phase, 0.0, 0.0}); };
  report(1);
  const Components components = all_strong_components(steps, team, monitor);
  report(2);
  ChainStructure out;
  collect_classes(out, components, closed_components(components, steps, ending_states(chain)), chain.size());
  report(3);
  Columns level(at(chain.size()), -1);
  for (Index number = 0; number < out.num_classes(); ++number) {
    out.period.push_back(period_of(steps, out.states(number), level));
  }
  report(4);
  out.proper = chain.mdp().can_end() ? proper_states(out, components, steps) : Flags(at(chain.size()), 0);
  return out;
}

ChainStructure chain_structure(const Mdp& mdp, ConstVector policy, int num_threads, Monitor& monitor) {
  mdp.ensure_checked(num_threads);
  const Chain chain(mdp, policy, check_policy(mdp, policy));
  Team team(mdp.num_entries() < kParallelEntries ? 1 : num_threads);
  return chain_structure(chain, team, monitor);
}

std::vector<Index> reachable_classes(const ChainStructure& structure, const Chain& chain,
                                     const TwofoldVector& initial) {
  const std::vector<char> reached = reachable(chain, initial);
  std::vector<Index> classes;
  for (Index number = 0; number < structure.num_classes(); ++number) {
    if (reached[at(structure.representative(number))] != 0) classes.push_back(number);
  }
  return classes;
}

}  // namespace rlcore

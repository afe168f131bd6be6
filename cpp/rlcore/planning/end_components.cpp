// Candidates fall apart into strongly connected components; pairs that may leave theirs are struck, then states that
// have no pair left, with all pairs that may lead to them; and components that have lost a pair are searched again.
#include "rlcore/planning/end_components.hpp"

#include <algorithm>
#include <optional>

#include "rlcore/components.hpp"
#include "rlcore/planning/predecessors.hpp"

namespace rlcore {
namespace {

using Columns = EndComponents::Columns;

class EndComponentSearch {
 public:
  EndComponentSearch(const Mdp& mdp, const std::vector<char>& marked, Team& team, Monitor& monitor)
      : mdp_(mdp), team_(team), monitor_(monitor), stays_(marked), place_(at(mdp.num_states()), EndComponents::kNone) {
    for (Index pair = 0; pair < mdp.num_pairs(); ++pair) {
      if (!mdp.termination().empty() && mdp.termination()[at(pair)] > 0.0) stays_[at(pair)] = 0;
    }
    num_pairs_.assign(at(mdp.num_states()), 0);
    for (Index state = 0; state < mdp.num_states(); ++state) {
      for_pairs(state, [&](Index) { ++num_pairs_[at(state)]; });
      if (num_pairs_[at(state)] == 0) dead_.push_back(static_cast<Column>(state));
    }
  }

  EndComponents run() {
    bury();
    struck_.clear();  // that was before there were components to lose anything
    Columns candidates;
    for (Index state = 0; state < mdp_.num_states(); ++state) {
      if (num_pairs_[at(state)] > 0) candidates.push_back(static_cast<Column>(state));
    }
    EndComponents found;
    found.of.assign(at(mdp_.num_states()), EndComponents::kNone);
    while (!candidates.empty()) candidates = refine(candidates, found.of);
    found.stays = std::move(stays_);
    number(found);
    return found;
  }

 private:
  /// Calls body(pair) for the pairs of a state that are not struck.
  template <class Body>
  void for_pairs(Index state, Body&& body) const {
    for (Index pair = mdp_.first_pair(state); pair < mdp_.first_pair(state + 1); ++pair) {
      if (stays_[at(pair)] != 0) body(pair);
    }
  }

  /// Splits the candidates, names by their first states the components that have lost nothing, and returns the rest.
  Columns refine(const Columns& candidates, Columns& component_of) {
    for (std::size_t i = 0; i < candidates.size(); ++i) place_[at(candidates[i])] = static_cast<Column>(i);
    const Components components = all_strong_components(steps_among(candidates), team_, monitor_);
    strike_pairs_that_leave(candidates, components);
    cut_off_small_traps();
    std::vector<char> has_lost(at(components.count()), 0);
    for (const Column state : struck_) has_lost[at(components.of(place_[at(state)]))] = 1;
    struck_.clear();
    Columns rest;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const Column state = candidates[i];
      const Index component = components.of(static_cast<Index>(i));
      if (has_lost[at(component)] == 0) {
        component_of[at(state)] = candidates[at(components.states(component).front())];
      } else if (num_pairs_[at(state)] > 0) {
        rest.push_back(state);
      }
    }
    return rest;
  }

  /// Possible steps among the candidates, which their pairs do not leave, by their places.
  CsrMatrix steps_among(const Columns& candidates) const {
    const auto num_entries = [&](Column state) {
      return mdp_.first_entry(mdp_.first_pair(Index{state} + 1)) - mdp_.first_entry(mdp_.first_pair(state));
    };
    Index capacity = 0;
    for (const Column state : candidates) capacity += num_entries(state);
    CsrMatrix steps(std::ssize(candidates), capacity);
    Index entry = 0;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const auto row_number = static_cast<Index>(i);
      steps.first[row_number] = entry;
      for_pairs(candidates[i], [&](Index pair) {
        const Row row = mdp_.row(pair);
        for (Index k = 0; k < row.length; ++k) {
          if (row.probability[k] == 0.0) continue;
          steps.column[entry] = place_[at(row.column[k])];
          steps.value[entry++] = 1.0;
        }
      });
      steps.length[row_number] = static_cast<std::int32_t>(entry - steps.first[row_number]);
    }
    steps.num_entries = entry;
    return steps;
  }

  void strike_pairs_that_leave(const Columns& candidates, const Components& components) {
    if (components.count() == 1) return;
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const Index home = components.of(static_cast<Index>(i));
      for_pairs(candidates[i], [&](Index pair) {
        const Row row = mdp_.row(pair);
        for (Index k = 0; k < row.length; ++k) {
          if (row.probability[k] == 0.0 || components.of(place_[at(row.column[k])]) == home) continue;
          strike(pair, candidates[i]);
          return;
        }
      });
    }
  }

  void strike(Index pair, Column state) {
    stays_[at(pair)] = 0;
    struck_.push_back(state);
    if (--num_pairs_[at(state)] == 0) dead_.push_back(state);
  }

  /// Strikes the pairs that may lead to states without pairs, until there are no more such states.
  void bury() {
    while (!dead_.empty()) {
      if (++buried_ % kPatience == 0) monitor_.poll({"end components", buried_, 0.0, 0.0});
      const Column state = dead_.back();
      dead_.pop_back();
      for (const Index pair : predecessors().pairs(state)) {
        if (stays_[at(pair)] != 0) strike(pair, predecessors().state_of(pair));
      }
    }
  }

  /// A state that has lost a pair may by now lead to few others only, none of which leads back to the rest of its
  /// component: pairs from there are struck at once. A corridor that falls apart from its end, state by state, would
  /// take as many rounds as it has states without this.
  void cut_off_small_traps() {
    for (std::size_t i = 0; i < struck_.size(); ++i) {
      bury();
      if (num_pairs_[at(struck_[i])] == 0 || !find_trap(struck_[i])) continue;
      for (const Column state : trap_) {
        for (const Index pair : predecessors().pairs(state)) {
          const Column before = predecessors().state_of(pair);
          if (stays_[at(pair)] != 0 && trap_of_[at(before)] != trap_number_) strike(pair, before);
        }
      }
    }
    bury();
  }

  /// All that a state leads to, if that is not much.
  bool find_trap(Column state) {
    constexpr std::size_t kSmall = 16;
    trap_of_.resize(at(mdp_.num_states()), EndComponents::kNone);
    trap_of_[at(state)] = ++trap_number_;
    trap_.assign(1, state);
    for (std::size_t next = 0; next < trap_.size(); ++next) {
      for_pairs(trap_[next], [&](Index pair) {
        const Row row = mdp_.row(pair);
        for (Index k = 0; k < row.length && trap_.size() <= kSmall; ++k) {
          Column& mark = trap_of_[at(row.column[k])];
          if (row.probability[k] == 0.0 || mark == trap_number_) continue;
          mark = trap_number_;
          trap_.push_back(row.column[k]);
        }
      });
      if (trap_.size() > kSmall) return false;
    }
    return true;
  }

  const Predecessors& predecessors() {
    if (!predecessors_) predecessors_.emplace(mdp_);
    return *predecessors_;
  }

  /// From components named by one of their states to components numbered by their smallest.
  void number(EndComponents& found) const {
    Columns number_of(found.of.size(), EndComponents::kNone);
    Columns size;
    for (Column& component : found.of) {
      if (component == EndComponents::kNone) continue;
      Column& number = number_of[at(component)];
      if (number == EndComponents::kNone) {
        number = static_cast<Column>(size.size());
        size.push_back(0);
      }
      component = number;
      ++size[at(number)];
    }
    for (const Column states : size) found.start.push_back(found.start.back() + states);
    found.members.resize(at(found.start.back()));
    std::vector<Index> next(found.start.begin(), found.start.end() - 1);
    for (std::size_t state = 0; state < found.of.size(); ++state) {
      if (found.of[state] == EndComponents::kNone) continue;
      found.members[at(next[at(found.of[state])]++)] = static_cast<Column>(state);
    }
  }

  static constexpr Index kPatience = Index{1} << 16;

  const Mdp& mdp_;
  Team& team_;
  Monitor& monitor_;
  std::vector<char> stays_;
  Columns place_;      // of each candidate among the candidates
  Columns num_pairs_;  // that are not struck, of each state
  Columns dead_;       // states without pairs whose predecessors have not been struck yet
  Columns struck_;     // states that have lost a pair since the components were found
  Columns trap_;       // states that lead to each other alone
  Columns trap_of_;    // the last trap that each state was found in
  Column trap_number_ = EndComponents::kNone;
  std::optional<Predecessors> predecessors_;
  Index buried_ = 0;
};

}  // namespace

bool EndComponents::is_whole_model() const {
  return count() == 1 && members.size() == of.size() &&
         std::all_of(stays.begin(), stays.end(), [](char stay) { return stay != 0; });
}

EndComponents end_components(const Mdp& mdp, const std::vector<char>& marked, Team& team, Monitor& monitor) {
  return EndComponentSearch(mdp, marked, team, monitor).run();
}

}  // namespace rlcore

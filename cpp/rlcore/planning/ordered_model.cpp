#include "rlcore/planning/ordered_model.hpp"

#include <algorithm>
#include <limits>

namespace rlcore {
namespace {

using Columns = StateOrder::Columns;
using Positions = std::vector<Index, LargeAllocator<Index>>;

/// States between two looks at the monitor.
constexpr Index kStatesPerPoll = 65536;

/// Calls body(successor) once for every state that some action of a state may lead to. `seen` remembers.
template <class Body>
void for_successors(const Mdp& mdp, Index state, Columns& seen, Body&& body) {
  for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
    const Row row = mdp.row(pair);
    row.prefetch_next();
    for (Index k = 0; k < row.length; ++k) {
      const Column successor = row.column[k];
      if (seen[at(successor)] == state) continue;
      seen[at(successor)] = static_cast<Column>(state);
      body(successor);
    }
  }
}

/// Who may move to each state.
struct StatesBefore {
  Positions start;
  Columns state;

  StatesBefore(const Mdp& mdp, Monitor& monitor) : start(at(mdp.num_states() + 1), 0) {
    const auto for_moves = [&](auto&& body) {
      Columns seen(at(mdp.num_states()), -1);
      for (Index s = 0; s < mdp.num_states(); ++s) {
        if (s % kStatesPerPoll == 0) monitor.poll({"breadth-first order"});
        for_successors(mdp, s, seen, [&](Column successor) { body(s, successor); });
      }
    };
    for_moves([&](Index, Column successor) { ++start[at(successor)]; });
    Index total = 0;
    for (Index& count : start) count = total += count;
    state.resize(at(total));
    for_moves([&](Index s, Column successor) { state[at(--start[at(successor)])] = static_cast<Column>(s); });
  }
};

/// The states in which the largest reward can be had; where all are alike, those in which the process can end.
Columns sources(const Mdp& mdp) {
  const auto with = [&](auto&& has) {
    Columns states;
    for (Index s = 0; s < mdp.num_states(); ++s) {
      bool found = false;
      for (Index pair = mdp.first_pair(s); pair < mdp.first_pair(s + 1); ++pair) found = found || has(at(pair));
      if (found) states.push_back(static_cast<Column>(s));
    }
    return states;
  };
  const ConstVector reward = mdp.reward();
  const double most = *std::max_element(reward.begin(), reward.end());
  Columns states = with([&](std::size_t pair) { return reward[pair] == most; });
  if (std::ssize(states) * 2 > mdp.num_states() && mdp.can_end()) {
    states = with([&](std::size_t pair) { return mdp.termination()[pair] > 0.0; });
  }
  return states;
}

/// Breadth first against the moves; what leads to no source comes after, from its own first state on.
Columns order_of(const Mdp& mdp, Monitor& monitor) {
  const StatesBefore before(mdp, monitor);
  Columns order;
  order.reserve(at(mdp.num_states()));
  std::vector<char> found(at(mdp.num_states()), 0);
  const auto visit = [&](Column state) {
    if (found[at(state)] != 0) return;
    found[at(state)] = 1;
    order.push_back(state);
  };
  std::size_t next = 0;
  const auto spread = [&] {
    for (; next < order.size(); ++next) {
      if (next % at(kStatesPerPoll) == 0) monitor.poll({"breadth-first order"});
      const std::size_t state = at(order[next]);
      for (Index k = before.start[state]; k < before.start[state + 1]; ++k) {
        visit(before.state[at(k)]);
      }
    }
  };
  for (const Column source : sources(mdp)) visit(source);
  spread();
  for (Index root = 0; root < mdp.num_states(); ++root) {
    visit(static_cast<Column>(root));
    spread();
  }
  return order;
}

}  // namespace

OrderedModel::OrderedModel(const Mdp& mdp, Team& team, Monitor& monitor)
    : max_row_length_(mdp.max_row_length()),
      order_(order_of(mdp, monitor), team),
      reward_(at(mdp.num_pairs())),
      column_(mdp.num_entries()),
      probability_(mdp.num_entries()) {
  place_rows(mdp);
  copy_rows(mdp, team);
}

void OrderedModel::place_rows(const Mdp& mdp) {
  first_pair_.reserve(at(num_states() + 1));
  first_entry_.reserve(at(mdp.num_pairs() + 1));
  Index pairs = 0;
  Index entries = 0;
  for (Index state = 0; state < num_states(); ++state) {
    const Index old = order_.old_of_new(state);
    first_pair_.push_back(pairs);
    pairs += mdp.first_pair(old + 1) - mdp.first_pair(old);
    for (Index pair = mdp.first_pair(old); pair < mdp.first_pair(old + 1); ++pair) {
      first_entry_.push_back(entries);
      entries += mdp.row(pair).length;
    }
  }
  first_pair_.push_back(pairs);
  first_entry_.push_back(entries);
}

void OrderedModel::copy_rows(const Mdp& mdp, Team& team) {
  team.for_blocks(num_states(), kBlock, [&](Index first, Index last, Index) {
    for (Index state = first; state < last; ++state) {
      const Index old_pair = mdp.first_pair(order_.old_of_new(state));
      for (Index pair = first_pair(state); pair < first_pair(state + 1); ++pair) {
        const Index old = old_pair + pair - first_pair(state);
        const Row row = mdp.row(old);
        reward_[at(pair)] = mdp.reward()[at(old)];
        Index place = first_entry_[at(pair)];
        for (Index k = 0; k < row.length; ++k, ++place) {
          column_[place] = order_.new_of_old(row.column[k]);
          probability_[place] = row.probability[k];
        }
      }
    }
  });
}

CsrMatrix OrderedModel::policy_rows(std::span<const Index> choice, Team& team) const {
  const Index size = num_states();
  // As many as any policy may need: memory of one size is used again.
  CsrMatrix matrix(size, std::min(num_entries(), size * max_row_length_));
  std::vector<Index> start(at(num_blocks(size) + 1), 0);
  team.for_blocks(size, kBlock, [&](Index first, Index last, Index block) {
    for (auto state = at(first); state < at(last); ++state) start[at(block + 1)] += row(choice[state]).length;
  });
  for (std::size_t block = 1; block < start.size(); ++block) start[block] += start[block - 1];
  matrix.num_entries = start.back();
  team.for_blocks(size, kBlock, [&](Index first, Index last, Index block) {
    Index place = start[at(block)];
    for (Index state = first; state < last; ++state) {
      const Row chosen = row(choice[at(state)]);
      matrix.first[state] = place;
      matrix.length[state] = static_cast<std::int32_t>(chosen.length);
      std::copy_n(chosen.column, chosen.length, matrix.column.data() + place);
      std::copy_n(chosen.probability, chosen.length, matrix.value.data() + place);
      place += chosen.length;
    }
  });
  return matrix;
}

}  // namespace rlcore

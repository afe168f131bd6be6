#include "rlcore/planning/derived_mdp.hpp"

#include <utility>

namespace rlcore {

/// What a derived model owns.
struct DerivedMdp::Rows {
  std::vector<Index, LargeAllocator<Index>> pair_start{0};
  std::vector<std::int64_t, LargeAllocator<std::int64_t>> row_start{0};
  std::vector<Column, LargeAllocator<Column>> column;
  Doubles probability;
  Doubles reward;
  Doubles termination;
};

/// Rows one after the other, state by state.
class DerivedMdpBuilder {
 public:
  explicit DerivedMdpBuilder(const Mdp& mdp) : from_(mdp) {
    rows_->pair_start.reserve(at(mdp.num_states()) + 1);
    rows_->row_start.reserve(at(mdp.num_pairs()) + 1);
    rows_->column.reserve(at(mdp.num_entries()));
    rows_->probability.reserve(at(mdp.num_entries()));
  }

  void add(Index pair, double reward) {
    const Row row = from_.row(pair);
    rows_->column.insert(rows_->column.end(), row.column, row.column + row.length);
    rows_->probability.insert(rows_->probability.end(), row.probability, row.probability + row.length);
    end_pair(reward, from_.termination().empty() ? 0.0 : from_.termination()[at(pair)], pair);
  }
  void add_step(Index successor, Index origin) {
    rows_->column.push_back(static_cast<Column>(successor));
    rows_->probability.push_back(1.0);
    end_pair(0.0, 0.0, origin);
  }
  void add_end(double reward, Index origin) { end_pair(reward, 1.0, origin); }
  void end_state() { rows_->pair_start.push_back(std::ssize(rows_->reward)); }

  DerivedMdp build() {
    const DerivedMdp::Rows& rows = *rows_;
    const MdpArrays arrays{
        .num_states = from_.num_states(),
        .pair_start = rows.pair_start,
        .row_start = Offsets(rows.row_start.data(), std::ssize(rows.row_start)),
        .column = rows.column,
        .probability = rows.probability,
        .reward = rows.reward,
        .termination = rows.termination,
        .initial = {},
        .owner = rows_,
    };
    derived_.mdp_ = std::make_shared<const Mdp>(arrays);
    return std::move(derived_);
  }

 private:
  void end_pair(double reward, double termination, Index origin) {
    rows_->row_start.push_back(std::ssize(rows_->column));
    rows_->reward.push_back(reward);
    rows_->termination.push_back(termination);
    derived_.origin_.push_back(origin);
  }

  const Mdp& from_;
  std::shared_ptr<DerivedMdp::Rows> rows_ = std::make_shared<DerivedMdp::Rows>();
  DerivedMdp derived_;
};

DerivedMdp same_mdp(const Mdp& mdp) {
  DerivedMdp same;
  same.mdp_ = std::shared_ptr<const Mdp>(std::shared_ptr<const void>(), &mdp);
  return same;
}

DerivedMdp restricted_mdp(const Mdp& mdp, const std::vector<char>& marked) {
  DerivedMdpBuilder builder(mdp);
  for (Index state = 0; state < mdp.num_states(); ++state) {
    bool has_pair = false;
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      if (marked[at(pair)] == 0) continue;
      builder.add(pair, mdp.reward()[at(pair)]);
      has_pair = true;
    }
    if (!has_pair) builder.add_step(state, DerivedMdp::kAbsent);
    builder.end_state();
  }
  return builder.build();
}

DerivedMdp collapsed_mdp(const Mdp& mdp, ConstVector reward, const std::vector<char>& marked,
                         const EndComponents& components, ConstVector settling) {
  DerivedMdpBuilder builder(mdp);
  const auto add_pairs_that_leave = [&](Index state) {
    bool added = false;
    for (Index pair = mdp.first_pair(state); pair < mdp.first_pair(state + 1); ++pair) {
      if (marked[at(pair)] == 0 || components.stays[at(pair)] != 0) continue;
      builder.add(pair, reward[at(pair)]);
      added = true;
    }
    return added;
  };
  for (Index state = 0; state < mdp.num_states(); ++state) {
    const Column component = components.of[at(state)];
    if (component == EndComponents::kNone) {
      if (!add_pairs_that_leave(state)) builder.add_end(0.0, DerivedMdp::kAbsent);
    } else if (state != components.states(component).front()) {
      builder.add_step(components.states(component).front(), DerivedMdp::kJoin);
    } else {
      if (!settling.empty()) builder.add_end(settling[at(component)], DerivedMdp::kSettle);
      for (const Column member : components.states(component)) add_pairs_that_leave(member);
    }
    builder.end_state();
  }
  return builder.build();
}

Choice lifted(const DerivedMdp& collapsed, const Choice& choice, const EndComponents& components,
              const Predecessors& predecessors) {
  Choice result(choice.size(), kNoPair);
  for (const Index pair : choice) {
    const Index origin = collapsed.origin(pair);
    if (origin >= 0) result[at(predecessors.state_of(origin))] = origin;
  }
  find_ways(predecessors, components.stays, result);
  return result;
}

}  // namespace rlcore

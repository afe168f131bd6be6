// A model made from the rows of another: pairs left out, states that act as one, ends put in.
//
// States keep their numbers and rows their entries, so that no probability is ever added up or rounded: what is proven
// of a derived model is proven of the rows that were stored. States that act as one, all but the first of them, step to
// that first state at once and for nothing, and it has the pairs of all.
#pragma once

#include <memory>
#include <vector>

#include "rlcore/mdp.hpp"
#include "rlcore/planning/end_components.hpp"
#include "rlcore/planning/predecessors.hpp"

namespace rlcore {

class DerivedMdp {
 public:
  // Where a pair that is no row of the first model comes from.
  static constexpr Index kJoin = -1;    // the step to the state that acts for this one
  static constexpr Index kSettle = -2;  // staying in a component for ever
  static constexpr Index kAbsent = -3;  // the only pair of a state that is left out: it ends at once

  const Mdp& mdp() const { return *mdp_; }

  /// The pair of the first model that a pair is, or one of the above.
  Index origin(Index pair) const { return origin_.empty() ? pair : origin_[at(pair)]; }

 private:
  friend class DerivedMdpBuilder;
  friend DerivedMdp same_mdp(const Mdp& mdp);
  struct Rows;

  std::shared_ptr<const Mdp> mdp_;
  std::vector<Index, LargeAllocator<Index>> origin_;  // empty: the first model itself
};

/// The first model itself, which is borrowed.
DerivedMdp same_mdp(const Mdp& mdp);

/// The marked pairs alone. States without any never leave themselves and earn nothing.
DerivedMdp restricted_mdp(const Mdp& mdp, const std::vector<char>& marked);

/// The marked pairs under a reward, each component acting as one state: without the pairs that stay in it, and, if
/// `settling` has a number for each component, with a pair that ends there and pays it. States with neither are left
/// out.
DerivedMdp collapsed_mdp(const Mdp& mdp, ConstVector reward, const std::vector<char>& marked,
                         const EndComponents& components, ConstVector settling);

/// A choice in the collapsed model as one in the first: the process goes to where its component is left, without
/// leaving it before. Components that are settled in, and states that are left out, get kNoPair.
Choice lifted(const DerivedMdp& collapsed, const Choice& choice, const EndComponents& components,
              const Predecessors& predecessors);

}  // namespace rlcore

// What a chain looks like: where it stays for ever, where it only passes through, how it goes round (theory 3.2).
//
// Structure alone decides. A step is possible if pi(a|s) > 0 and P(s'|s,a) > 0 as they are stored, and the chain can
// end in s if pi(a|s) > 0 and termination(s,a) > 0: no product that underflows and no sum that rounds has a say.
#pragma once

#include <span>
#include <vector>

#include "rlcore/chain.hpp"
#include "rlcore/monitor.hpp"

namespace rlcore {

struct ChainStructure {
  using Columns = std::vector<Column, LargeAllocator<Column>>;
  static constexpr Column kTransient = -1;

  Columns class_of;                   // the recurrent class of each state, or kTransient
  Columns recurrent;                  // the recurrent states by class, increasing within each
  std::vector<Index> class_start{0};  // where each class begins among them, (num_classes + 1)
  Columns transient;                  // all other states, increasing
  std::vector<Index> period;          // of each class
  std::vector<char> proper;           // for each state: no recurrent class can be reached, so the chain surely ends

  /// Classes are numbered by their smallest states.
  Index num_classes() const { return static_cast<Index>(class_start.size()) - 1; }

  std::span<const Column> states(Index number) const {
    const auto begin = at(class_start[at(number)]);
    return {recurrent.data() + begin, at(class_start[at(number + 1)]) - begin};
  }

  /// The smallest state of a class.
  Column representative(Index number) const { return states(number).front(); }
};

/// In time linear in the number of stored entries.
ChainStructure chain_structure(const Chain& chain, Team& team, Monitor& monitor);

/// P_pi, positive where a step is possible: the products of tiny numbers that rounded to zero are mended.
CsrMatrix possible_steps(const Chain& chain, Team& team);

/// The same from the possible steps.
ChainStructure chain_structure(const Chain& chain, const CsrMatrix& steps, Team& team, Monitor& monitor);

/// The same for a policy that is not checked yet; throws PolicyError.
ChainStructure chain_structure(const Mdp& mdp, ConstVector policy, int num_threads, Monitor& monitor);

/// The recurrent classes that are reached with positive probability from where `initial` is positive: those in
/// which a process that starts there may stay for ever. If there is none, the policy is proper (theory 3.1).
std::vector<Index> reachable_classes(const ChainStructure& structure, const Chain& chain, const TwofoldVector& initial);

}  // namespace rlcore

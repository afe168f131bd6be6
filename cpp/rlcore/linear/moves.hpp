// The moves out of single states, for a first look at a system: what is turned away after it has not been assembled.
#pragma once

#include "rlcore/chain.hpp"
#include "rlcore/linear/kernel.hpp"
#include "rlcore/linear/system.hpp"

namespace rlcore::linear {

class Moves {
 public:
  /// From the stored model where the process is only discounted, or else from the system that is wanted first.
  Moves(Systems& systems, Direction wanted) : size_(systems.size()) {
    const Kernel* const kernel = systems.kernel();
    if (kernel != nullptr && kernel->is_discounted()) {
      kernel_ = kernel;
    } else {
      system_ = &systems[wanted];
    }
  }

  explicit Moves(const System& system) : size_(system.size()), system_(&system) {}

  Index size() const { return size_; }

  /// Calls body(column, value) for the entries of discount M in a row; those of several actions one after the other.
  template <class Body>
  void for_each(Index state, Body&& body) const {
    if (system_ != nullptr) {
      const CsrMatrix& m = system_->matrix;
      for (Index k = m.first[state]; k < m.first[state] + m.length[state]; ++k) {
        body(m.column[k], system_->discount * m.value[k]);
      }
      return;
    }
    const Chain& chain = kernel_->chain();
    for (Index pair = chain.mdp().first_pair(state); pair < chain.mdp().first_pair(state + 1); ++pair) {
      const double chosen = kernel_->discount() * chain.policy()[at(pair)];
      if (chosen == 0.0) continue;
      const Row row = chain.mdp().row(pair);
      for (Index k = 0; k < row.length; ++k) body(static_cast<Column>(row.column[k]), chosen * row.probability[k]);
    }
  }

 private:
  Index size_;
  const Kernel* kernel_ = nullptr;
  const System* system_ = nullptr;
};

}  // namespace rlcore::linear

#include "rlcore/linear/portfolio.hpp"

#include <array>

#include "rlcore/linear/relabelling.hpp"

namespace rlcore::linear {

Candidate make_dense_lu(const System&, Monitor&);
Candidate make_span_iteration(const System&, Monitor&);
Candidate make_sparse_lu(const System&, Monitor&);
Candidate make_multigrid(const System&, Monitor&);
Candidate make_ilut_bicgstab(const System&, Monitor&);
Candidate make_bicgstab(const System&, Monitor&);
Candidate make_value_iteration(const System&, Monitor&);

namespace {

Candidate make_local_multigrid(const System& system, Monitor& monitor) {
  return make_relabelled(system, monitor, make_multigrid);
}

Candidate make_local_ilut_bicgstab(const System& system, Monitor& monitor) {
  return make_relabelled(system, monitor, make_ilut_bicgstab);
}

}  // namespace

std::span<const Entry> portfolio() {
  // Small chains exactly; random graphs by sweeps, which see at once whether they contract; chains,
  // queues and cycles by a factorisation that hardly fills; what is local by a preconditioned Krylov
  // method, what is not by a plain one; and what defeats even that by plain sweeps, slow but sure.
  static constexpr std::array<Entry, 7> kMethods{{
      {"dense LU", make_dense_lu},
      {"span iteration", make_span_iteration},
      {"sparse LU", make_sparse_lu},
      {"multigrid", make_local_multigrid},
      {"ILUT-BiCGSTAB", make_local_ilut_bicgstab},
      {"BiCGSTAB", make_bicgstab},
      {"value iteration", make_value_iteration},
  }};
  return kMethods;
}

}  // namespace rlcore::linear

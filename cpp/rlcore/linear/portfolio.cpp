#include "rlcore/linear/portfolio.hpp"

#include <array>

namespace rlcore::linear {

Candidate make_dense_lu(Systems&, Direction, Monitor&);
Candidate make_renewal_sweeps(Systems&, Direction, Monitor&);
Candidate make_two_level(Systems&, Direction, Monitor&);
Candidate make_banded_lu(Systems&, Direction, Monitor&);
Candidate make_span_iteration(Systems&, Direction, Monitor&);
Candidate make_block_triangular(Systems&, Direction, Monitor&);
Candidate make_state_reduction(Systems&, Direction, Monitor&);
Candidate make_sparse_lu(Systems&, Direction, Monitor&);
Candidate make_multigrid(Systems&, Direction, Monitor&);
Candidate make_chebyshev_iteration(Systems&, Direction, Monitor&);
Candidate make_milut_at_once(Systems&, Direction, Monitor&);
Candidate make_milut_bicgstab(Systems&, Direction, Monitor&);
Candidate make_ilut_bicgstab(Systems&, Direction, Monitor&);
Candidate make_bicgstab(Systems&, Direction, Monitor&);
Candidate make_value_iteration(Systems&, Direction, Monitor&);

std::span<const Entry> portfolio() {
  // Small chains exactly; what mixes and is stopped in one state, by sweeps that do not stop; what forms groups that
  // are rarely left, group by group; queues and cycles by a factorisation that does not fill; random graphs by
  // sweeps, which see at once whether they contract; chains of small components one after the other; what is local
  // and ends by an elimination that subtracts nothing; what else is local by accelerated sweeps, by multigrid, or by
  // a Krylov method with incomplete factors, which come first where only what is near counts; what else hardly fills
  // by a factorisation; the rest by a plain Krylov method; and what defeats even that by plain sweeps, slow but sure.
  static constexpr std::array<Entry, 15> kMethods{{
      {"dense LU", make_dense_lu},
      {"renewal sweeps", make_renewal_sweeps},
      {"two-level aggregation", make_two_level},
      {"banded LU", make_banded_lu},
      {"span iteration", make_span_iteration},
      {"block triangular", make_block_triangular},
      {"state reduction", make_state_reduction},
      {"Chebyshev iteration", make_chebyshev_iteration, true},
      {"MILUT-BiCGSTAB", make_milut_at_once, true},
      {"multigrid", make_multigrid, true},
      {"MILUT-BiCGSTAB", make_milut_bicgstab, true},
      {"ILUT-BiCGSTAB", make_ilut_bicgstab, true},
      {"sparse LU", make_sparse_lu},
      {"BiCGSTAB", make_bicgstab},
      {"value iteration", make_value_iteration},
  }};
  return kMethods;
}

}  // namespace rlcore::linear

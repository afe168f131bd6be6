#include "rlcore/linear/level_matrix.hpp"

#include <algorithm>

namespace rlcore::linear {

LevelMatrix::LevelMatrix(const System& system)
    : LevelMatrix(system.size(), system.matrix.num_entries, *system.team, [&] {
        return [&](Index row, Entries& entries) {
          const CsrMatrix& m = system.matrix;
          double diagonal = 1.0;
          for (Index k = m.first[row]; k < m.first[row] + m.length[row]; ++k) {
            const double value = -system.discount * m.value[k];
            if (m.column[k] == row) {
              diagonal += value;
            } else {
              entries.push_back({m.column[k], static_cast<float>(value)});
            }
          }
          return diagonal;
        };
      }) {}

void LevelMatrix::put_left_first(Index row, std::span<Entry> entries) {
  const Index begin = row / kBlock * kBlock;
  const auto is_left = [&](const Entry& entry) { return entry.column >= begin && entry.column < row; };
  const auto left_end = std::partition(entries.begin(), entries.end(), is_left);
  left_[at(row)] = static_cast<std::uint16_t>(left_end - entries.begin());
}

}  // namespace rlcore::linear

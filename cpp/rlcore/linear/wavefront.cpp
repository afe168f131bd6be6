#include "rlcore/linear/wavefront.hpp"

#include <atomic>
#include <utility>

namespace rlcore::linear {

bool Wavefront::is_sparse(const std::vector<char>& has) {
  constexpr double kMost = 0.125;  // what is left out must be worth the list of who reads whom, a third of a sweep
  return static_cast<double>(std::count(has.begin(), has.end(), 1)) <= kMost * static_cast<double>(has.size());
}

Wavefront::Wavefront(const CsrMatrix& matrix, std::vector<char> has, Team& team)
    : size_(matrix.size), num_strips_(std::ssize(has)), has_(std::move(has)) {
  if (!is_sparse(has_) || !find_sources(matrix, team)) std::fill(has_.begin(), has_.end(), 1);
  for (Index strip = 0; strip < num_strips_; ++strip) {
    if (has_[at(strip)] != 0) come_to_.push_back(strip);
  }
}

bool Wavefront::find_sources(const CsrMatrix& matrix, Team& team) {
  constexpr std::size_t kMost = 32;
  sources_.resize(at(num_strips_));
  std::atomic<bool> are_few{true};
  std::atomic<Index> next{0};
  team.run([&](int) {
    std::vector<Index> seen(at(num_strips_), -1);  // by which strip last
    for (Index strip = next++; strip < num_strips_ && are_few; strip = next++) {
      std::vector<Index>& sources = sources_[at(strip)];
      for (Index row = strip * kStrip; row < std::min((strip + 1) * kStrip, size_); ++row) {
        const Column* const columns = matrix.column.data() + matrix.first[row];
        for (Index k = 0; k < matrix.length[row]; ++k) {
          const Index source = columns[k] / kStrip;
          if (std::exchange(seen[at(source)], strip) != strip) sources.push_back(source);
        }
      }
      if (sources.size() > kMost) are_few = false;
    }
  });
  return are_few;
}

void Wavefront::advance() {
  std::vector<Index> reached;
  for (Index strip = 0; strip < num_strips_; ++strip) {
    const std::vector<Index>& sources = sources_[at(strip)];
    const bool is_reached = has_[at(strip)] != 0 || std::any_of(sources.begin(), sources.end(),
                                                                [&](Index source) { return has_[at(source)] != 0; });
    if (is_reached) reached.push_back(strip);
  }
  come_to_ = std::move(reached);
}

}  // namespace rlcore::linear

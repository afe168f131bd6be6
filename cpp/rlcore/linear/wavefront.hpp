// Where sweeps from a sparse right-hand side can have come: rewards of a few states, or a start in one, take many
// sweeps to cross a large local chain, more than a short horizon asks for. Rows that read zeros alone need not be read:
// what they would give is known to the last bit.
#pragma once

#include <algorithm>
#include <vector>

#include "rlcore/csr_matrix.hpp"

namespace rlcore::linear {

class Wavefront {
 public:
  /// Whether b is zero nearly everywhere.
  static bool is_sparse(ConstVector b, Team& team) { return is_sparse(strips_of(b, team)); }

  /// At first, where b or the first iterate is not zero; everywhere at once, unless both are sparse and the chain
  /// local.
  template <class Number>
  Wavefront(const CsrMatrix& matrix, std::span<const Number> b, std::span<const Number> x, Team& team)
      : Wavefront(matrix, either(strips_of(b, team), strips_of(x, team)), team) {}

  /// To where rows read what is not zero in x, the last iterate.
  template <class Number>
  void advance(std::span<const Number> x) {
    if (is_everywhere()) return;
    for (const Index strip : come_to_) has_[at(strip)] = has_[at(strip)] != 0 || has_some(x, strip) ? 1 : 0;
    advance();
  }

  bool is_everywhere() const { return std::ssize(come_to_) == num_strips_; }

  /// Calls body(first, last, k) for the states of the k-th strip that it has come to.
  template <class Body>
  void for_strips(Team& team, Body&& body) const {
    team.for_blocks(std::ssize(come_to_), kBlock / kStrip, [&](Index begin, Index end, Index) {
      for (Index k = begin; k < end; ++k) {
        const Index first = come_to_[at(k)] * kStrip;
        body(first, std::min(first + kStrip, size_), k);
      }
    });
  }

  Index num_strips() const { return std::ssize(come_to_); }

 private:
  /// States of neighbouring numbers, which are dealt with together.
  static constexpr Index kStrip = 256;

  Wavefront(const CsrMatrix& matrix, std::vector<char> has, Team& team);

  template <class Number>
  static std::vector<char> strips_of(std::span<const Number> b, Team& team) {
    std::vector<char> has(at((std::ssize(b) + kStrip - 1) / kStrip));
    team.for_blocks(std::ssize(has), kBlock / kStrip, [&](Index begin, Index end, Index) {
      for (Index strip = begin; strip < end; ++strip) has[at(strip)] = has_some(b, strip) ? 1 : 0;
    });
    return has;
  }

  static std::vector<char> either(std::vector<char> one, const std::vector<char>& other) {
    for (std::size_t strip = 0; strip < one.size(); ++strip) one[strip] |= other[strip];
    return one;
  }

  /// Whether x is not zero somewhere in a strip.
  template <class Number>
  static bool has_some(std::span<const Number> x, Index strip) {
    const auto part = x.subspan(at(strip * kStrip), at(std::min(kStrip, std::ssize(x) - strip * kStrip)));
    return !std::all_of(part.begin(), part.end(), is_zero<Number>);
  }

  static bool is_sparse(const std::vector<char>& has);

  /// False, if a strip reads many others: what it knows is soon known everywhere.
  bool find_sources(const CsrMatrix& matrix, Team& team);
  void advance();

  Index size_;
  Index num_strips_;
  std::vector<char> has_;                    // of each strip, whether x is known not to be zero there
  std::vector<Index> come_to_;               // the strips that are dealt with
  std::vector<std::vector<Index>> sources_;  // of each strip, the strips that its rows read
};

}  // namespace rlcore::linear

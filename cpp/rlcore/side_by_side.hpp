// Twofold vectors side by side, whole or only their high parts, so that one pass over a model serves all of them.
#pragma once

#include <algorithm>
#include <span>
#include <vector>

#include "rlcore/lanes.hpp"
#include "rlcore/twofold.hpp"

namespace rlcore {

/// One alone stays where it is; lanes without a vector hold zeros.
template <class Number>
class SideBySide {
 public:
  SideBySide(std::span<const TwofoldVector* const> vectors, Team& team) {
    if constexpr (kLanesOf<Number> == 1) {
      numbers_ = *vectors.front();
    } else {
      storage_ = unset<Numbers<TwofoldOf<Number>>>(std::ssize(*vectors.front()));
      team.for_blocks(std::ssize(storage_), kBlock, [&](Index first, Index last, Index) {
        std::fill(storage_.begin() + first, storage_.begin() + last, TwofoldOf<Number>{});
        for (std::size_t k = 0; k < vectors.size(); ++k) {
          for (auto i = at(first); i < at(last); ++i) set_lane(storage_[i], k, (*vectors[k])[i]);
        }
      });
      numbers_ = storage_;
    }
  }

  SideBySide(const SideBySide&) = delete;
  SideBySide& operator=(const SideBySide&) = delete;

  const TwofoldOf<Number>& operator[](std::size_t i) const { return numbers_[i]; }
  std::span<const TwofoldOf<Number>> numbers() const { return numbers_; }

 private:
  Numbers<TwofoldOf<Number>> storage_;
  std::span<const TwofoldOf<Number>> numbers_;
};

/// The high parts; lanes without a vector hold zeros.
template <class Number>
Numbers<Number> high_parts(std::span<const TwofoldVector* const> vectors, Team& team) {
  auto high = unset<Numbers<Number>>(std::ssize(*vectors.front()));
  team.for_blocks(std::ssize(high), kBlock, [&](Index first, Index last, Index) {
    if (vectors.size() < kLanesOf<Number>) std::fill(high.begin() + first, high.begin() + last, Number{});
    for (std::size_t k = 0; k < vectors.size(); ++k) {
      for (auto i = at(first); i < at(last); ++i) lane(high[i], k) = (*vectors[k])[i].hi;
    }
  });
  return high;
}

}  // namespace rlcore

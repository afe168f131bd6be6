// Random numbers that are a function of their place: Philox4x32-10 (Salmon, Moraes, Dror & Shaw 2011).
//
// A generator without a state: what is drawn for an episode at a time depends on the seed, the episode and the time
// alone, whoever draws it and whatever was drawn before.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "rlcore/types.hpp"

namespace rlcore {

/// Ten rounds of Philox4x32: what the key makes of a counter.
RLCORE_INLINE std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                  std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t first = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t second = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(second),
               static_cast<std::uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(first)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

/// The numbers of one seed: 64 random bits for each episode and time. Time -1 draws where the episode starts.
class Randomness {
 public:
  explicit Randomness(std::uint64_t seed) : key_{low(seed), high(seed)} {}

  /// For the times 2 * pair_of_times and the one after it, which share a counter.
  RLCORE_INLINE std::array<std::uint64_t, 2> draw_two(std::uint64_t episode, std::int64_t pair_of_times) const {
    const auto block = static_cast<std::uint64_t>(pair_of_times);
    const auto bits = philox({low(episode), high(episode), low(block), high(block)}, key_);
    return {bits[0] | std::uint64_t{bits[1]} << 32, bits[2] | std::uint64_t{bits[3]} << 32};
  }

  std::uint64_t draw(std::uint64_t episode, std::int64_t time) const {
    return draw_two(episode, time >> 1)[static_cast<std::size_t>(time & 1)];
  }

 private:
  static constexpr std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static constexpr std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

  std::array<std::uint32_t, 2> key_;
};

}  // namespace rlcore

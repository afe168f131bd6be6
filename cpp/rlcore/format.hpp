// Numbers in messages: the shortest decimal that reads back as the same double.
#pragma once

#include <array>
#include <charconv>
#include <string>

namespace rlcore {

inline std::string format(double number) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), end};
}

}  // namespace rlcore

// Numbers in messages: the shortest decimal that reads back as the same double.
#pragma once

#include <array>
#include <charconv>
#include <cmath>
#include <string>

namespace rlcore {

inline std::string format(double number) {
  if (std::isnan(number)) return "nan";  // x86 makes them with a sign, which nobody wants to read
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number).ptr;
  return {text.data(), end};
}

/// Two digits: enough for an error.
inline std::string format_briefly(double number) {
  std::array<char, 32> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number, std::chars_format::general, 2).ptr;
  return {text.data(), end};
}

}  // namespace rlcore

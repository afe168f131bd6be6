// The methods in the order in which the resolvent tries them.
#pragma once

#include <span>
#include <string_view>

#include "rlcore/linear/method.hpp"

namespace rlcore::linear {

struct Entry {
  std::string_view name;
  Factory make;
  bool local = false;  // wants neighbours to have numbers near each other
};

std::span<const Entry> portfolio();

}  // namespace rlcore::linear

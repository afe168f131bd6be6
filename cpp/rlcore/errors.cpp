#include "rlcore/errors.hpp"

#include <utility>

namespace rlcore {
namespace {

std::string located(const std::string& argument, const Place& place, const std::string& fault) {
  std::string text = argument;
  if (place.item >= 0) text += "[" + std::to_string(place.item) + "]";
  if (place.state >= 0) text += ", state " + std::to_string(place.state);
  if (place.action >= 0) text += ", action " + std::to_string(place.action);
  return text + ": " + fault;
}

}  // namespace

InputError::InputError(std::string argument, Place place, std::string fault)
    : std::invalid_argument(located(argument, place, fault)),
      argument_(std::move(argument)),
      place_(place),
      fault_(std::move(fault)) {}

}  // namespace rlcore

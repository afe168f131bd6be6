// Typed errors. Each says what is wrong, where, what was expected, what was found, how to mend it.
#pragma once

#include <stdexcept>
#include <string>

#include "rlcore/types.hpp"

namespace rlcore {

/// Where an error lies; -1 where the part does not apply. Callers with labels name the place by them.
struct Place {
  Index state = -1;
  Index action = -1;  // position within the state's own actions
  Index item = -1;    // position within a batch
};

/// The base of the errors that the user's input can cause.
class InputError : public std::invalid_argument {
 public:
  InputError(std::string argument, Place place, std::string fault);

  const std::string& argument() const { return argument_; }
  const Place& place() const { return place_; }
  const std::string& fault() const { return fault_; }  // the message without its place

 private:
  std::string argument_;
  Place place_;
  std::string fault_;
};

class ModelError : public InputError {
  using InputError::InputError;
};
class PolicyError : public InputError {
  using InputError::InputError;
};
class SettingError : public InputError {
  using InputError::InputError;
};
class ImproperPolicyError : public InputError {
  using InputError::InputError;
};
class UnboundedValueError : public InputError {
  using InputError::InputError;
};

}  // namespace rlcore

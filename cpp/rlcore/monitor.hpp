// Progress and cancellation: how a long computation stays on speaking terms with its caller.
#pragma once

#include <chrono>
#include <functional>
#include <string_view>

#include "rlcore/types.hpp"

namespace rlcore {

/// What a solver can say of itself while it runs.
struct Progress {
  std::string_view method;
  Index iterations = 0;
  double error = 0.0;   // estimate of the relative error so far; the certificate comes at the end
  double target = 0.0;  // the relative error asked for
};

/// Asks the caller, at most every `interval`, whether to go on. A caller cancels by throwing from
/// its callback: the exception passes through the solver, which holds everything by RAII.
class Monitor {
 public:
  using Callback = std::function<void(const Progress&)>;

  Monitor() = default;
  explicit Monitor(Callback callback, std::chrono::milliseconds interval = std::chrono::milliseconds(50))
      : callback_(std::move(callback)), interval_(interval), last_(Clock::now()) {}

  /// Called by the computing thread from time to time; cheap when nothing is due.
  void poll(const Progress& progress) {
    if (!callback_) return;
    const auto now = Clock::now();
    if (now - last_ < interval_) return;
    callback_(progress);
    last_ = Clock::now();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Callback callback_;
  std::chrono::milliseconds interval_{50};
  Clock::time_point last_{};
};

}  // namespace rlcore

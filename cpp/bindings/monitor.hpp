// Progress callbacks and Ctrl-C, heard while the GIL is released.
#pragma once

#include <pybind11/pybind11.h>

#include "rlcore/monitor.hpp"

namespace rlcore::bindings {

namespace py = pybind11;

/// A monitor that raises pending signals and tells `progress(method, iterations, error, target)`, unless
/// it is None. Exceptions of either pass through the solver to Python.
inline Monitor monitor_for(const py::object& progress) {
  return Monitor([progress](const Progress& now) {
    const py::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();
    if (!progress.is_none()) {
      progress(py::str(now.method.data(), now.method.size()), now.iterations, now.error, now.target);
    }
  });
}

}  // namespace rlcore::bindings

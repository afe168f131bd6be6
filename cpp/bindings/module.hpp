// The parts of the extension module, each registered by its own file.
#pragma once

#include <pybind11/pybind11.h>

namespace rlcore::bindings {

void bind_errors(pybind11::module_& module);
void bind_mdp(pybind11::module_& module);
void bind_evaluation(pybind11::module_& module);
void bind_occupancy(pybind11::module_& module);
void bind_finite_horizon(pybind11::module_& module);
void bind_chain_structure(pybind11::module_& module);
void bind_improvement(pybind11::module_& module);
void bind_planning(pybind11::module_& module);
void bind_trust_region(pybind11::module_& module);
void bind_simulation(pybind11::module_& module);
void bind_gradient(pybind11::module_& module);
void bind_planning_undiscounted(pybind11::module_& module);

}  // namespace rlcore::bindings

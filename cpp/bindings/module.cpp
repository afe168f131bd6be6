#include "module.hpp"

PYBIND11_MODULE(_core, module, pybind11::mod_gil_not_used()) {
  using namespace rlcore::bindings;
  module.doc() = "The compiled core of rlcore. Use the functions of the package rlcore instead.";
  bind_errors(module);
  bind_mdp(module);
  bind_evaluation(module);
  bind_occupancy(module);
  bind_finite_horizon(module);
  bind_chain_structure(module);
  bind_improvement(module);
  bind_planning(module);
  bind_trust_region(module);
  bind_simulation(module);
  bind_gradient(module);
  bind_planning_undiscounted(module);
}

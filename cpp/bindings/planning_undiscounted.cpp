#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "results.hpp"
#include "rlcore/planning/average.hpp"
#include "rlcore/planning/episodic.hpp"

namespace rlcore::bindings {
namespace {

/// An undiscounted optimum as Python sees it.
struct UndiscountedOptimumFields {
  py::object policy, value;
  py::object gain = py::none(), start_value = py::none();  // where they exist
  UndiscountedOptimum::Bounds bounds;
  CertificateFields certificate;
};

UndiscountedOptimumFields fields_of(UndiscountedOptimum optimum, const Mdp& mdp) {
  std::vector<UndiscountedOptimum> results;
  results.push_back(std::move(optimum));
  const Shape lead;
  const Shape states{mdp.num_states()};
  UndiscountedOptimumFields fields;
  fields.policy = stacked(results, lead, pair_shape(mdp), [](UndiscountedOptimum& o) -> auto& { return o.policy; });
  fields.value = stacked(results, lead, states, [](UndiscountedOptimum& o) -> auto& { return o.value; });
  if (!results.front().gain.empty()) {
    fields.gain = stacked(results, lead, states, [](UndiscountedOptimum& o) -> auto& { return o.gain; });
  }
  if (results.front().start_value) fields.start_value = py::cast(*results.front().start_value);
  fields.bounds = results.front().bounds;
  fields.certificate =
      certificate_fields(results, lead, [](const UndiscountedOptimum& o) -> auto& { return o.certificate; });
  return fields;
}

/// Runs one of the functions that plan without a discount.
template <class Solve>
UndiscountedOptimumFields solved(const Mdp& mdp, double tolerance, int num_threads, const py::object& progress,
                                 Solve&& solve) {
  Monitor monitor = monitor_for(progress);
  UndiscountedOptimum optimum;
  {
    const py::gil_scoped_release no_gil;
    optimum = solve(mdp, Options{tolerance, num_threads}, monitor);
  }
  return fields_of(std::move(optimum), mdp);
}

}  // namespace

void bind_planning_undiscounted(py::module_& module) {
  using Fields = UndiscountedOptimumFields;
  const auto bound = [](double UndiscountedOptimum::Bounds::* member) {
    return [member](const Fields& fields) { return fields.bounds.*member; };
  };
  using Bounds = UndiscountedOptimum::Bounds;
  py::class_<Fields>(module, "UndiscountedOptimumFields", "The fields of rlcore.Solution, without a discount.")
      .def_readonly("policy", &Fields::policy)
      .def_readonly("value", &Fields::value)
      .def_readonly("gain", &Fields::gain)
      .def_readonly("start_value", &Fields::start_value)
      .def_property_readonly("value_bound", bound(&Bounds::value))
      .def_property_readonly("policy_value_bound", bound(&Bounds::policy_value))
      .def_property_readonly("start_value_bound", bound(&Bounds::start_value))
      .def_property_readonly("gain_bound", bound(&Bounds::gain))
      .def_property_readonly("policy_gain_bound", bound(&Bounds::policy_gain))
      .def_readonly("certificate", &Fields::certificate);

  module.def(
      "solve_episodic",
      [](const Mdp& mdp, double tolerance, int num_threads, const py::object& progress) {
        return solved(mdp, tolerance, num_threads, progress, solve_episodic);
      },
      "Finds an optimal policy for episodes.", py::arg("mdp"), py::arg("tolerance"), py::arg("num_threads"),
      py::arg("progress"));

  module.def(
      "solve_average",
      [](const Mdp& mdp, double tolerance, int num_threads, const py::object& progress) {
        return solved(mdp, tolerance, num_threads, progress, solve_average);
      },
      "Finds an optimal policy for the long run.", py::arg("mdp"), py::arg("tolerance"), py::arg("num_threads"),
      py::arg("progress"));
}

}  // namespace rlcore::bindings

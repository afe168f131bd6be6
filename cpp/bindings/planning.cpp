#include "rlcore/planning/discounted.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "results.hpp"
#include "rlcore/planning/finite_horizon.hpp"

namespace rlcore::bindings {
namespace {

struct PlanFields {
  py::object policy, value, start_value;
  py::object value_bound, policy_value_bound, start_value_bound;
  CertificateFields certificate;
};

CertificateFields certificate_of(const linear::Certificate& certificate) {
  const std::vector<linear::Certificate> one(1, certificate);
  return certificate_fields(one, {}, [](const linear::Certificate& proof) -> auto& { return proof; });
}

PlanFields fields_of(Plan&& plan, Doubles&& policy, const Mdp& mdp) {
  PlanFields fields;
  fields.policy = owning_array(std::move(policy), pair_shape(mdp));
  fields.value = owning_array(std::move(plan.value), {mdp.num_states()});
  fields.start_value = py::cast(plan.start_value);
  fields.value_bound = py::cast(plan.bounds.value);
  fields.policy_value_bound = py::cast(plan.bounds.policy_value);
  fields.start_value_bound = py::cast(plan.bounds.start_value);
  fields.certificate = certificate_of(plan.certificate);
  return fields;
}

/// Bounds are those of each time.
PlanFields fields_of(FiniteHorizonPlan&& plan, Doubles&& policy, const Mdp& mdp, Index steps) {
  PlanFields fields;
  Shape policies = pair_shape(mdp);
  policies.insert(policies.begin(), steps);
  fields.policy = owning_array(std::move(policy), policies);
  fields.value = owning_array(std::move(plan.value), {steps + 1, mdp.num_states()});
  fields.start_value = py::cast(plan.start_value);
  fields.value_bound = owning_array(std::move(plan.bounds.value), {steps + 1});
  fields.policy_value_bound = owning_array(std::move(plan.bounds.policy_value), {steps + 1});
  fields.start_value_bound = py::cast(plan.bounds.start_value);
  fields.certificate = certificate_of(plan.certificate);
  return fields;
}

}  // namespace

void bind_planning(py::module_& module) {
  py::class_<PlanFields>(module, "PlanFields", "The fields of rlcore.Solution.")
      .def_readonly("policy", &PlanFields::policy)
      .def_readonly("value", &PlanFields::value)
      .def_readonly("start_value", &PlanFields::start_value)
      .def_readonly("value_bound", &PlanFields::value_bound)
      .def_readonly("policy_value_bound", &PlanFields::policy_value_bound)
      .def_readonly("start_value_bound", &PlanFields::start_value_bound)
      .def_readonly("certificate", &PlanFields::certificate);

  module.def(
      "solve_discounted",
      [](const Mdp& mdp, double discount, double tolerance, int num_threads, const py::object& progress) {
        Monitor monitor = monitor_for(progress);
        Plan plan;
        Doubles policy;
        {
          const py::gil_scoped_release no_gil;
          plan = solve_discounted(mdp, discount, {tolerance, num_threads}, monitor);
          policy = policy_of(mdp, plan.choice);
        }
        return fields_of(std::move(plan), std::move(policy), mdp);
      },
      "An optimal policy with a discount.", py::arg("mdp"), py::arg("discount"), py::arg("tolerance"),
      py::arg("num_threads"), py::arg("progress"));

  module.def(
      "solve_finite_horizon",
      [](const Mdp& mdp, const Array<double>& discounts, double tolerance, int num_threads,
         const py::object& progress) {
        Monitor monitor = monitor_for(progress);
        FiniteHorizonPlan plan;
        Doubles policies;
        {
          const py::gil_scoped_release no_gil;
          plan = solve_finite_horizon(mdp, span_of(discounts), {tolerance, num_threads}, monitor);
          policies = policies_of(mdp, plan, monitor);
        }
        return fields_of(std::move(plan), std::move(policies), mdp, discounts.size());
      },
      "An optimal policy for every step.", py::arg("mdp"), py::arg("discounts").noconvert(), py::arg("tolerance"),
      py::arg("num_threads"), py::arg("progress"));
}

}  // namespace rlcore::bindings

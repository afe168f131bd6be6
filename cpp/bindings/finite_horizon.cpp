#include "rlcore/finite_horizon.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "results.hpp"

namespace rlcore::bindings {
namespace {

py::object table(Doubles&& numbers, Index rows, Shape tail) {
  tail.insert(tail.begin(), rows);
  return owning_array(std::move(numbers), tail);
}

template <class Result>
CertificateFields certificate_of(const Result& result) {
  const std::vector<linear::Certificate> one(1, result.certificate);
  return certificate_fields(one, {}, [](const linear::Certificate& proof) -> auto& { return proof; });
}

struct FiniteHorizonEvaluationFields {
  py::object value, action_value, advantage, start_value;
  py::object value_bounds, action_value_bounds, advantage_bounds, start_value_bound;
  CertificateFields certificate;
};

FiniteHorizonEvaluationFields fields_of(FiniteHorizonEvaluation&& result, const Mdp& mdp, Index steps) {
  const Index kept = result.action_value.empty() ? 0 : steps;
  FiniteHorizonEvaluationFields fields;
  fields.certificate = certificate_of(result);
  fields.value = table(std::move(result.value), steps + 1, {mdp.num_states()});
  fields.action_value = table(std::move(result.action_value), kept, pair_shape(mdp));
  fields.advantage = table(std::move(result.advantage), kept, pair_shape(mdp));
  fields.start_value = py::cast(result.start_value);
  fields.value_bounds = table(std::move(result.bounds.value), steps + 1, {});
  fields.action_value_bounds = table(std::move(result.bounds.action_value), kept, {});
  fields.advantage_bounds = table(std::move(result.bounds.advantage), kept, {});
  fields.start_value_bound = py::cast(result.bounds.start_value);
  return fields;
}

struct FiniteHorizonOccupancyFields {
  py::object distribution, visits, state, pair;
  py::object distribution_bounds, visits_bound, state_bound, pair_bound;
  CertificateFields certificate;
};

FiniteHorizonOccupancyFields fields_of(FiniteHorizonOccupancy&& result, const Mdp& mdp, Index steps) {
  const Shape states{mdp.num_states()};
  FiniteHorizonOccupancyFields fields;
  fields.certificate = certificate_of(result);
  fields.distribution = table(std::move(result.distribution), steps + 1, states);
  fields.visits = owning_array(std::move(result.visits), states);
  fields.state = owning_array(std::move(result.state), states);
  fields.pair = owning_array(std::move(result.pair), pair_shape(mdp));
  fields.distribution_bounds = table(std::move(result.bounds.distribution), steps + 1, {});
  fields.visits_bound = py::cast(result.bounds.visits);
  fields.state_bound = py::cast(result.bounds.state);
  fields.pair_bound = py::cast(result.bounds.pair);
  return fields;
}

}  // namespace

void bind_finite_horizon(py::module_& module) {
  using Evaluated = FiniteHorizonEvaluationFields;
  py::class_<Evaluated>(module, "FiniteHorizonEvaluationFields", "The fields of rlcore.FiniteHorizonEvaluation.")
      .def_readonly("value", &Evaluated::value)
      .def_readonly("action_value", &Evaluated::action_value)
      .def_readonly("advantage", &Evaluated::advantage)
      .def_readonly("start_value", &Evaluated::start_value)
      .def_readonly("value_bounds", &Evaluated::value_bounds)
      .def_readonly("action_value_bounds", &Evaluated::action_value_bounds)
      .def_readonly("advantage_bounds", &Evaluated::advantage_bounds)
      .def_readonly("start_value_bound", &Evaluated::start_value_bound)
      .def_readonly("certificate", &Evaluated::certificate);

  using Occupied = FiniteHorizonOccupancyFields;
  py::class_<Occupied>(module, "FiniteHorizonOccupancyFields", "The fields of rlcore.FiniteHorizonOccupancy.")
      .def_readonly("distribution", &Occupied::distribution)
      .def_readonly("visits", &Occupied::visits)
      .def_readonly("state", &Occupied::state)
      .def_readonly("pair", &Occupied::pair)
      .def_readonly("distribution_bounds", &Occupied::distribution_bounds)
      .def_readonly("visits_bound", &Occupied::visits_bound)
      .def_readonly("state_bound", &Occupied::state_bound)
      .def_readonly("pair_bound", &Occupied::pair_bound)
      .def_readonly("certificate", &Occupied::certificate);

  module.def(
      "evaluate_finite_horizon",
      [](const Mdp& mdp, const Array<double>& policies, const Array<double>& discounts, bool with_actions,
         double tolerance, int num_threads, const py::object& progress) {
        const std::vector<ConstVector> policy_rows = rows_of(policies, mdp.num_pairs());
        const Schedule schedule{policy_rows, span_of(discounts)};
        Monitor monitor = monitor_for(progress);
        FiniteHorizonEvaluation result;
        {
          const py::gil_scoped_release no_gil;
          result = evaluate_finite_horizon(mdp, schedule, with_actions, {tolerance, num_threads}, monitor);
        }
        return fields_of(std::move(result), mdp, schedule.steps());
      },
      "The values of one policy for every step, or one for all.", py::arg("mdp"), py::arg("policies").noconvert(),
      py::arg("discounts").noconvert(), py::arg("with_actions"), py::arg("tolerance"), py::arg("num_threads"),
      py::arg("progress"));

  module.def(
      "occupancy_finite_horizon",
      [](const Mdp& mdp, const Array<double>& policies, const Array<double>& discounts, const Array<double>& initial,
         double tolerance, int num_threads, const py::object& progress) {
        const std::vector<ConstVector> policy_rows = rows_of(policies, mdp.num_pairs());
        const Schedule schedule{policy_rows, span_of(discounts)};
        Monitor monitor = monitor_for(progress);
        FiniteHorizonOccupancy result;
        {
          const py::gil_scoped_release no_gil;
          result = occupancy_finite_horizon(mdp, schedule, span_of(initial), {tolerance, num_threads}, monitor);
        }
        return fields_of(std::move(result), mdp, schedule.steps());
      },
      "The distributions and visits of one policy for every step, or one for all.", py::arg("mdp"),
      py::arg("policies").noconvert(), py::arg("discounts").noconvert(), py::arg("initial").noconvert(),
      py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));
}

}  // namespace rlcore::bindings

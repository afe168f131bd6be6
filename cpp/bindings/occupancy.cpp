#include "rlcore/occupancy.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "results.hpp"

namespace rlcore::bindings {
namespace {

struct OccupancyFields {
  py::object visits, state, pair;
  py::object visits_bound, state_bound, pair_bound;
  CertificateFields certificate;
};

OccupancyFields fields_of(std::vector<Occupancy>& results, const Mdp& mdp, const Shape& lead) {
  const Shape states{mdp.num_states()};
  OccupancyFields fields;
  fields.visits = stacked(results, lead, states, [](Occupancy& o) -> auto& { return o.visits; });
  fields.state = stacked(results, lead, states, [](Occupancy& o) -> auto& { return o.state; });
  fields.pair = stacked(results, lead, pair_shape(mdp), [](Occupancy& o) -> auto& { return o.pair; });
  const auto bound = [&](auto member) {
    return stacked_scalar<double>(results, lead, [member](const Occupancy& o) { return o.bounds.*member; });
  };
  fields.visits_bound = bound(&Occupancy::Bounds::visits);
  fields.state_bound = bound(&Occupancy::Bounds::state);
  fields.pair_bound = bound(&Occupancy::Bounds::pair);
  fields.certificate = certificate_fields(results, lead, [](const Occupancy& o) -> auto& { return o.certificate; });
  return fields;
}

struct StateRowsFields {
  py::object rows, bounds;
  CertificateFields certificate;
};

StateRowsFields fields_of(StateRows&& result, const Mdp& mdp) {
  StateRowsFields fields;
  const std::vector<StateRows> one(1, {{}, {}, result.certificate});
  fields.certificate = certificate_fields(one, {}, [](const StateRows& rows) -> auto& { return rows.certificate; });
  const auto count = static_cast<py::ssize_t>(result.bounds.size());
  fields.rows = owning_array(std::move(result.rows), {count, mdp.num_states()});
  fields.bounds = owning_array(std::move(result.bounds), {count});
  return fields;
}

}  // namespace

void bind_occupancy(py::module_& module) {
  py::class_<OccupancyFields>(module, "OccupancyFields", "The fields of rlcore.Occupancy.")
      .def_readonly("visits", &OccupancyFields::visits)
      .def_readonly("state", &OccupancyFields::state)
      .def_readonly("pair", &OccupancyFields::pair)
      .def_readonly("visits_bound", &OccupancyFields::visits_bound)
      .def_readonly("state_bound", &OccupancyFields::state_bound)
      .def_readonly("pair_bound", &OccupancyFields::pair_bound)
      .def_readonly("certificate", &OccupancyFields::certificate);

  py::class_<StateRowsFields>(module, "StateRowsFields", "Rows over states, a bound for each, a certificate.")
      .def_readonly("rows", &StateRowsFields::rows)
      .def_readonly("bounds", &StateRowsFields::bounds)
      .def_readonly("certificate", &StateRowsFields::certificate);

  module.def(
      "occupancy",
      [](const Mdp& mdp, const Array<double>& policies, const Array<double>& initials, const Shape& lead,
         double discount, double tolerance, int num_threads, const py::object& progress) {
        const std::vector<ConstVector> policy_rows = rows_of(policies, mdp.num_pairs());
        const std::vector<ConstVector> initial_rows = rows_of(initials, mdp.num_states());
        Monitor monitor = monitor_for(progress);
        std::vector<Occupancy> results;
        {
          const py::gil_scoped_release no_gil;
          results = occupancy(mdp, policy_rows, initial_rows, discount, {tolerance, num_threads}, monitor);
        }
        return fields_of(results, mdp, lead);
      },
      "The occupancies of a batch of policies from a batch of start distributions.", py::arg("mdp"),
      py::arg("policies").noconvert(), py::arg("initials").noconvert(), py::arg("lead"), py::arg("discount"),
      py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "state_distribution",
      [](const Mdp& mdp, const Array<double>& policy, const Array<double>& initial, Index steps, int num_threads,
         const py::object& progress) {
        Monitor monitor = monitor_for(progress);
        StateRows result;
        {
          const py::gil_scoped_release no_gil;
          result = state_distribution(mdp, span_of(policy), span_of(initial), steps, {0.0, num_threads}, monitor);
        }
        return fields_of(std::move(result), mdp);
      },
      "Pr(s_t = .) for t = 0 .. steps.", py::arg("mdp"), py::arg("policy").noconvert(), py::arg("initial").noconvert(),
      py::arg("steps"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "successor_representation",
      [](const Mdp& mdp, const Array<double>& policy, double discount, const Array<Index>& states, double tolerance,
         int num_threads, const py::object& progress) {
        Monitor monitor = monitor_for(progress);
        StateRows result;
        {
          const py::gil_scoped_release no_gil;
          result = successor_representation(mdp, span_of(policy), discount, span_of(states), {tolerance, num_threads},
                                            monitor);
        }
        return fields_of(std::move(result), mdp);
      },
      "Rows of (I - discount P_pi)^-1.", py::arg("mdp"), py::arg("policy").noconvert(), py::arg("discount"),
      py::arg("states").noconvert(), py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));
}

}  // namespace rlcore::bindings

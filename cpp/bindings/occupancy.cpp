#include "rlcore/occupancy.hpp"

#include <algorithm>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "results.hpp"
#include "rlcore/episodic.hpp"
#include "rlcore/long_run/cesaro_limit.hpp"
#include "rlcore/long_run/deviation_rows.hpp"
#include "rlcore/long_run/first_passage_times.hpp"
#include "rlcore/long_run/kemeny_constant.hpp"

namespace rlcore::bindings {
namespace {

struct OccupancyFields {
  py::object visits = py::none();  // the average setting has none
  py::object state, pair;
  py::object visits_bound, state_bound, pair_bound;
  py::object rest_of_visits = py::none();  // of `state` in the average setting; if it is known
  CertificateFields certificate;
};

OccupancyFields fields_of(std::vector<Occupancy>& results, const Mdp& mdp, const Shape& lead) {
  const Shape states{mdp.num_states()};
  OccupancyFields fields;
  const auto has_visits = [](const Occupancy& o) { return !o.visits.empty(); };
  if (std::all_of(results.begin(), results.end(), has_visits)) {
    fields.visits = stacked(results, lead, states, [](Occupancy& o) -> auto& { return o.visits; });
  }
  fields.state = stacked(results, lead, states, [](Occupancy& o) -> auto& { return o.state; });
  fields.pair = stacked(results, lead, pair_shape(mdp), [](Occupancy& o) -> auto& { return o.pair; });
  const auto bound = [&](auto member) {
    return stacked_scalar<double>(results, lead, [member](const Occupancy& o) { return o.bounds.*member; });
  };
  if (lead.empty()) fields.rest_of_visits = remainder(std::move(results.front().rest_of_visits));
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
  const auto width = count > 0 ? static_cast<py::ssize_t>(result.rows.size()) / count : mdp.num_states();
  fields.rows = owning_array(std::move(result.rows), {count, width});
  fields.bounds = owning_array(std::move(result.bounds), {count});
  return fields;
}

/// Runs one of the functions that find the occupancies of a batch of policies from a batch of starts.
template <class Find>
OccupancyFields found(const Mdp& mdp, const Array<double>& policies, const Array<double>& initials, const Shape& lead,
                      const py::object& progress, Find&& find) {
  const std::vector<ConstVector> policy_rows = rows_of(policies, mdp.num_pairs());
  const std::vector<ConstVector> initial_rows = rows_of(initials, mdp.num_states());
  Monitor monitor = monitor_for(progress);
  std::vector<Occupancy> results;
  {
    const py::gil_scoped_release no_gil;
    results = find(policy_rows, initial_rows, monitor);
  }
  return fields_of(results, mdp, lead);
}

/// Runs one of the functions that find rows over states.
template <class Find>
StateRowsFields rows_found(const Mdp& mdp, const py::object& progress, Find&& find) {
  Monitor monitor = monitor_for(progress);
  StateRows result;
  {
    const py::gil_scoped_release no_gil;
    result = find(monitor);
  }
  return fields_of(std::move(result), mdp);
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
      .def_readonly("rest_of_visits", &OccupancyFields::rest_of_visits)
      .def_readonly("certificate", &OccupancyFields::certificate);

  py::class_<StateRowsFields>(module, "StateRowsFields", "Rows over states, a bound for each, a certificate.")
      .def_readonly("rows", &StateRowsFields::rows)
      .def_readonly("bounds", &StateRowsFields::bounds)
      .def_readonly("certificate", &StateRowsFields::certificate);

  module.def(
      "occupancy",
      [](const Mdp& mdp, const Array<double>& policies, const Array<double>& initials, const Shape& lead,
         double discount, double tolerance, int num_threads, const py::object& progress) {
        return found(mdp, policies, initials, lead, progress, [&](auto& of_policies, auto& starts, auto& monitor) {
          return occupancy(mdp, of_policies, starts, discount, {tolerance, num_threads}, monitor);
        });
      },
      "The occupancies of a batch of policies from a batch of start distributions.", py::arg("mdp"),
      py::arg("policies").noconvert(), py::arg("initials").noconvert(), py::arg("lead"), py::arg("discount"),
      py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "occupancy_episodic",
      [](const Mdp& mdp, const Array<double>& policies, const Array<double>& initials, const Shape& lead,
         double tolerance, int num_threads, const py::object& progress) {
        return found(mdp, policies, initials, lead, progress, [&](auto& of_policies, auto& starts, auto& monitor) {
          return occupancy_episodic(mdp, of_policies, starts, {tolerance, num_threads}, monitor);
        });
      },
      "The same for episodes.", py::arg("mdp"), py::arg("policies").noconvert(), py::arg("initials").noconvert(),
      py::arg("lead"), py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "occupancy_average",
      [](const Mdp& mdp, const Array<double>& policies, const Array<double>& initials, const Shape& lead,
         double tolerance, int num_threads, const py::object& progress) {
        return found(mdp, policies, initials, lead, progress, [&](auto& of_policies, auto& starts, auto& monitor) {
          return occupancy_average(mdp, of_policies, starts, {tolerance, num_threads}, monitor);
        });
      },
      "The same in the long run.", py::arg("mdp"), py::arg("policies").noconvert(), py::arg("initials").noconvert(),
      py::arg("lead"), py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "state_distribution",
      [](const Mdp& mdp, const Array<double>& policy, const Array<double>& initial, Index steps, int num_threads,
         const py::object& progress) {
        return rows_found(mdp, progress, [&](Monitor& monitor) {
          return state_distribution(mdp, span_of(policy), span_of(initial), steps, {0.0, num_threads}, monitor);
        });
      },
      "Pr(s_t = .) for t = 0 .. steps.", py::arg("mdp"), py::arg("policy").noconvert(), py::arg("initial").noconvert(),
      py::arg("steps"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "successor_representation",
      [](const Mdp& mdp, const Array<double>& policy, double discount, const Array<Index>& states, double tolerance,
         int num_threads, const py::object& progress) {
        return rows_found(mdp, progress, [&](Monitor& monitor) {
          return successor_representation(mdp, span_of(policy), discount, span_of(states), {tolerance, num_threads},
                                          monitor);
        });
      },
      "Rows of (I - discount P_pi)^-1.", py::arg("mdp"), py::arg("policy").noconvert(), py::arg("discount"),
      py::arg("states").noconvert(), py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "deviation_rows",
      [](const Mdp& mdp, const Array<double>& policy, const Array<Index>& states, double tolerance, int num_threads,
         const py::object& progress) {
        return rows_found(mdp, progress, [&](Monitor& monitor) {
          return deviation_rows(mdp, span_of(policy), span_of(states), {tolerance, num_threads}, monitor);
        });
      },
      "Rows of the deviation matrix.", py::arg("mdp"), py::arg("policy").noconvert(), py::arg("states").noconvert(),
      py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "first_passage_times",
      [](const Mdp& mdp, const Array<double>& policy, const Array<Index>& targets, double tolerance, int num_threads,
         const py::object& progress) {
        return rows_found(mdp, progress, [&](Monitor& monitor) {
          return first_passage_times(mdp, span_of(policy), span_of(targets), {tolerance, num_threads}, monitor);
        });
      },
      "Mean first passage times, a row for each target.", py::arg("mdp"), py::arg("policy").noconvert(),
      py::arg("targets").noconvert(), py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "episode_length",
      [](const Mdp& mdp, const Array<double>& policy, double tolerance, int num_threads, const py::object& progress) {
        return rows_found(mdp, progress, [&](Monitor& monitor) {
          return episode_length(mdp, span_of(policy), {tolerance, num_threads}, monitor);
        });
      },
      "The mean and the variance of the number of steps to the end.", py::arg("mdp"), py::arg("policy").noconvert(),
      py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "kemeny_constant",
      [](const Mdp& mdp, const Array<double>& policy, double tolerance, int num_threads, const py::object& progress) {
        return rows_found(mdp, progress, [&](Monitor& monitor) {
          return kemeny_constant(mdp, span_of(policy), {tolerance, num_threads}, monitor);
        });
      },
      "Kemeny's constant, as one number in a row.", py::arg("mdp"), py::arg("policy").noconvert(), py::arg("tolerance"),
      py::arg("num_threads"), py::arg("progress"));
}

}  // namespace rlcore::bindings

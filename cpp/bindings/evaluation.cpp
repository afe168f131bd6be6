#include "rlcore/evaluation.hpp"

#include <algorithm>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "results.hpp"
#include "rlcore/episodic.hpp"
#include "rlcore/long_run/gain_and_bias.hpp"

namespace rlcore::bindings {
namespace {

/// A batch of evaluations as Python sees it: every field an array whose leading axes are the batch's.
struct EvaluationFields {
  py::object value;
  py::object action_value = py::none(), advantage = py::none(), start_value = py::none();  // where they exist
  py::object proper = py::none(), gain = py::none();
  py::object value_bound, action_value_bound, advantage_bound;
  py::object start_value_bound = py::none(), gain_bound = py::none();
  py::object rest_of_action_value = py::none(), rest_of_advantage = py::none();  // if they are known
  CertificateFields certificate;
};

EvaluationFields fields_of(std::vector<Evaluation>& results, const Mdp& mdp, const Shape& lead) {
  const Shape states{mdp.num_states()};
  const Shape pairs = pair_shape(mdp);
  EvaluationFields fields;
  fields.value = stacked(results, lead, states, [](Evaluation& e) -> auto& { return e.value; });
  const auto all_have = [&](auto has) { return std::all_of(results.begin(), results.end(), has); };
  if (all_have([](const Evaluation& e) { return !e.action_value.empty(); })) {
    fields.action_value = stacked(results, lead, pairs, [](Evaluation& e) -> auto& { return e.action_value; });
    fields.advantage = stacked(results, lead, pairs, [](Evaluation& e) -> auto& { return e.advantage; });
  }
  if (all_have([](const Evaluation& e) { return !e.gain.empty(); })) {
    fields.gain = stacked(results, lead, states, [](Evaluation& e) -> auto& { return e.gain; });
    fields.gain_bound = stacked_scalar<double>(results, lead, [](const Evaluation& e) { return e.bounds.gain; });
  }
  if (all_have([](const Evaluation& e) { return !e.proper.empty(); })) {
    fields.proper = stacked(results, lead, states, [](Evaluation& e) -> auto& { return e.proper; });
  }
  if (all_have([](const Evaluation& e) { return e.start_value.has_value(); })) {
    fields.start_value = stacked_scalar<double>(results, lead, [](const Evaluation& e) { return *e.start_value; });
    fields.start_value_bound =
        stacked_scalar<double>(results, lead, [](const Evaluation& e) { return e.bounds.start_value; });
  }
  const auto bound = [&](auto member) {
    return stacked_scalar<double>(results, lead, [member](const Evaluation& e) { return e.bounds.*member; });
  };
  if (lead.empty() && !fields.advantage.is_none()) {
    fields.rest_of_action_value = remainder(std::move(results.front().rest_of_action_value));
    fields.rest_of_advantage = remainder(std::move(results.front().rest_of_advantage));
  }
  fields.value_bound = bound(&Evaluation::Bounds::value);
  fields.action_value_bound = bound(&Evaluation::Bounds::action_value);
  fields.advantage_bound = bound(&Evaluation::Bounds::advantage);
  fields.certificate = certificate_fields(results, lead, [](const Evaluation& e) -> auto& { return e.certificate; });
  return fields;
}

/// What rounding leaves over is kept of single answers for models with few states.
Options options_of(const Mdp& mdp, const Shape& lead, double tolerance, int num_threads) {
  return {tolerance, num_threads, lead.empty() && mdp.num_states() <= kBlock};
}

/// Runs one of the functions that evaluate a batch of policies under a batch of rewards.
template <class Evaluate>
EvaluationFields evaluated(const Mdp& mdp, const Array<double>& policies, const std::optional<Array<double>>& rewards,
                           const Shape& lead, const py::object& progress, Evaluate&& evaluate_all) {
  const std::vector<ConstVector> policy_rows = rows_of(policies, mdp.num_pairs());
  const std::vector<ConstVector> reward_rows =
      rewards ? rows_of(*rewards, mdp.num_pairs()) : std::vector<ConstVector>{mdp.reward()};
  Monitor monitor = monitor_for(progress);
  std::vector<Evaluation> results;
  {
    const py::gil_scoped_release no_gil;
    results = evaluate_all(policy_rows, reward_rows, monitor);
  }
  return fields_of(results, mdp, lead);
}

}  // namespace

void bind_evaluation(py::module_& module) {
  bind_certificate(module);

  py::class_<EvaluationFields>(module, "EvaluationFields", "The fields of rlcore.Evaluation.")
      .def_readonly("value", &EvaluationFields::value)
      .def_readonly("action_value", &EvaluationFields::action_value)
      .def_readonly("advantage", &EvaluationFields::advantage)
      .def_readonly("start_value", &EvaluationFields::start_value)
      .def_readonly("proper", &EvaluationFields::proper)
      .def_readonly("gain", &EvaluationFields::gain)
      .def_readonly("value_bound", &EvaluationFields::value_bound)
      .def_readonly("action_value_bound", &EvaluationFields::action_value_bound)
      .def_readonly("advantage_bound", &EvaluationFields::advantage_bound)
      .def_readonly("start_value_bound", &EvaluationFields::start_value_bound)
      .def_readonly("gain_bound", &EvaluationFields::gain_bound)
      .def_readonly("rest_of_action_value", &EvaluationFields::rest_of_action_value)
      .def_readonly("rest_of_advantage", &EvaluationFields::rest_of_advantage)
      .def_readonly("certificate", &EvaluationFields::certificate);

  module.def(
      "evaluate",
      [](const Mdp& mdp, const Array<double>& policies, const std::optional<Array<double>>& rewards, const Shape& lead,
         double discount, double tolerance, int num_threads, const py::object& progress) {
        return evaluated(mdp, policies, rewards, lead, progress,
                         [&](auto& of_policies, auto& of_rewards, auto& monitor) {
                           return evaluate(mdp, of_policies, of_rewards, discount,
                                           options_of(mdp, lead, tolerance, num_threads), monitor);
                         });
      },
      "Evaluates a batch of policies under a batch of rewards.", py::arg("mdp"), py::arg("policies").noconvert(),
      py::arg("rewards").noconvert(), py::arg("lead"), py::arg("discount"), py::arg("tolerance"),
      py::arg("num_threads"), py::arg("progress"));

  module.def(
      "evaluate_episodic",
      [](const Mdp& mdp, const Array<double>& policies, const std::optional<Array<double>>& rewards, const Shape& lead,
         double tolerance, int num_threads, const py::object& progress) {
        return evaluated(mdp, policies, rewards, lead, progress,
                         [&](auto& of_policies, auto& of_rewards, auto& monitor) {
                           return evaluate_episodic(mdp, of_policies, of_rewards,
                                                    options_of(mdp, lead, tolerance, num_threads), monitor);
                         });
      },
      "The same for episodes.", py::arg("mdp"), py::arg("policies").noconvert(), py::arg("rewards").noconvert(),
      py::arg("lead"), py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "evaluate_average",
      [](const Mdp& mdp, const Array<double>& policies, const std::optional<Array<double>>& rewards, const Shape& lead,
         double tolerance, int num_threads, const py::object& progress) {
        return evaluated(mdp, policies, rewards, lead, progress,
                         [&](auto& of_policies, auto& of_rewards, auto& monitor) {
                           return evaluate_average(mdp, of_policies, of_rewards,
                                                   options_of(mdp, lead, tolerance, num_threads), monitor);
                         });
      },
      "The same in the long run.", py::arg("mdp"), py::arg("policies").noconvert(), py::arg("rewards").noconvert(),
      py::arg("lead"), py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));
}

}  // namespace rlcore::bindings

#include "rlcore/trust_region.hpp"

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "results.hpp"

namespace rlcore::bindings {
namespace {

/// An old policy as it comes from Python.
struct OldPolicyArrays {
  Array<double> policy, advantage, weight;
  double tie;

  OldPolicy over(const Mdp& mdp) const {
    const OldPolicy old{mdp, span_of(policy), span_of(advantage), span_of(weight), tie};
    const auto expect = [](ConstVector x, Index size, const char* name) {
      if (ssize(x) != size) throw ModelError(name, {}, "expected " + std::to_string(size) + " numbers");
    };
    expect(old.policy, mdp.num_pairs(), "policy");
    expect(old.advantage, mdp.num_pairs(), "advantage");
    expect(old.weight, mdp.num_states(), "weight");
    return old;
  }
};

struct TrustRegionFields {
  py::object policy, kl, multiplier;
  double price, dual_gap, kl_error;
  Index passes;
};

/// Calls take(old, team, monitor) without the GIL.
template <class Take>
TrustRegionFields fields_of(const Mdp& mdp, const OldPolicyArrays& arrays, int num_threads, const py::object& progress,
                            Take&& take) {
  const OldPolicy old = arrays.over(mdp);
  Monitor monitor = monitor_for(progress);
  TrustRegionStep step;
  {
    const py::gil_scoped_release no_gil;
    Team team(mdp.num_states() <= kBlock ? 1 : num_threads);
    step = take(old, team, monitor);
  }
  const Shape states{mdp.num_states()};
  return {owning_array(std::move(step.policy), pair_shape(mdp)),
          owning_array(std::move(step.kl), states),
          owning_array(std::move(step.multiplier), states),
          step.price,
          step.dual_gap,
          step.kl_error,
          step.passes};
}

}  // namespace

void bind_trust_region(py::module_& module) {
  py::class_<OldPolicyArrays>(module, "OldPolicy", "A policy, its A, the weights of the states, and what is a tie.")
      .def(py::init([](Array<double> policy, Array<double> advantage, Array<double> weight, double tie) {
             return OldPolicyArrays{std::move(policy), std::move(advantage), std::move(weight), tie};
           }),
           py::arg("policy").noconvert(), py::arg("advantage").noconvert(), py::arg("weight").noconvert(),
           py::arg("tie"));

  py::class_<TrustRegionFields>(module, "TrustRegionFields", "The fields of rlcore.TrustRegionStep.")
      .def_readonly("policy", &TrustRegionFields::policy)
      .def_readonly("kl", &TrustRegionFields::kl)
      .def_readonly("multiplier", &TrustRegionFields::multiplier)
      .def_readonly("price", &TrustRegionFields::price)
      .def_readonly("dual_gap", &TrustRegionFields::dual_gap)
      .def_readonly("kl_error", &TrustRegionFields::kl_error)
      .def_readonly("passes", &TrustRegionFields::passes);

  module.def(
      "max_kl_step",
      [](const Mdp& mdp, const OldPolicyArrays& old, double radius, int num_threads, const py::object& progress) {
        return fields_of(mdp, old, num_threads, progress, [&](const OldPolicy& from, Team& team, Monitor& monitor) {
          return max_kl_step(from, radius, team, monitor);
        });
      },
      "The best policy with KL <= radius in every state.", py::arg("mdp"), py::arg("old"), py::arg("radius"),
      py::arg("num_threads"), py::arg("progress"));

  module.def(
      "mean_kl_step",
      [](const Mdp& mdp, const OldPolicyArrays& old, double share, double radius, int num_threads,
         const py::object& progress) {
        return fields_of(mdp, old, num_threads, progress, [&](const OldPolicy& from, Team& team, Monitor& monitor) {
          return mean_kl_step(from, share, radius, team, monitor);
        });
      },
      "The best policy with share sum w KL <= radius.", py::arg("mdp"), py::arg("old"), py::arg("share"),
      py::arg("radius"), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "kl_penalty_step",
      [](const Mdp& mdp, const OldPolicyArrays& old, double coefficient, int num_threads, const py::object& progress) {
        return fields_of(mdp, old, num_threads, progress, [&](const OldPolicy& from, Team& team, Monitor& monitor) {
          return kl_penalty_step(from, coefficient, team, monitor);
        });
      },
      "The policy with the best sum w Abar - coefficient max KL.", py::arg("mdp"), py::arg("old"),
      py::arg("coefficient"), py::arg("num_threads"), py::arg("progress"));
}

}  // namespace rlcore::bindings

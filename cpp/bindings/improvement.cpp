#include "rlcore/improvement.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "results.hpp"
#include "rlcore/discounted_sums.hpp"
#include "rlcore/divergence.hpp"
#include "rlcore/return_gap.hpp"
#include "rlcore/step_shift.hpp"

namespace rlcore::bindings {
namespace {

using Numbers = py::array_t<double>;

/// One number of every candidate, (candidates,).
template <class Result>
Numbers column(const std::vector<Result>& results, double Result::* member) {
  Numbers numbers(static_cast<py::ssize_t>(results.size()));
  double* out = numbers.mutable_data();
  for (const Result& result : results) *out++ = result.*member;
  return numbers;
}

/// One part of a twofold number of every candidate.
template <class Result>
Numbers part_of(const std::vector<Result>& results, Twofold Result::* member, double Twofold::* part) {
  Numbers numbers(static_cast<py::ssize_t>(results.size()));
  double* out = numbers.mutable_data();
  for (const Result& result : results) *out++ = result.*member.*part;
  return numbers;
}

Numbers copied(const Doubles& x) {
  Numbers numbers(static_cast<py::ssize_t>(x.size()));
  std::copy(x.begin(), x.end(), numbers.mutable_data());
  return numbers;
}

/// The policies of a batch, or what they change: `start` and `states` are None for whole policies.
struct CandidateArrays {
  std::optional<Array<Index>> start;
  std::optional<Array<Index>> states;
  Array<double> rows;

  Candidates over(const Mdp& mdp) const {
    if (!start) return {mdp, rows_of(rows, mdp.num_pairs())};
    return {mdp, span_of(*start), span_of(*states), span_of(rows)};
  }
};

/// A base policy with what was found of it.
struct BaseArrays {
  Array<double> policy, value, advantage, weight;
  std::optional<Array<double>> advantage_low, weight_low;

  Base over(const Mdp& mdp) const {
    Base base{mdp, span_of(policy), span_of(value), span_of(advantage), span_of(weight)};
    if (advantage_low && weight_low) {
      base.advantage_low = span_of(*advantage_low);
      base.weight_low = span_of(*weight_low);
    }
    const auto expect = [](ConstVector x, Index size, const char* name) {
      if (ssize(x) != size) throw ModelError(name, {}, "expected " + std::to_string(size) + " numbers");
    };
    expect(base.policy, mdp.num_pairs(), "policy");
    expect(base.value, mdp.num_states(), "value");
    expect(base.advantage, mdp.num_pairs(), "advantage");
    expect(base.weight, mdp.num_states(), "weight");
    if (base.is_sharp()) {
      expect(base.advantage_low, mdp.num_pairs(), "advantage_low");
      expect(base.weight_low, mdp.num_states(), "weight_low");
    }
    return base;
  }
};

/// Calls find(base, candidates, team, monitor) without the GIL.
template <class Find>
auto with_candidates(const Mdp& mdp, const BaseArrays& base_arrays, const CandidateArrays& candidate_arrays,
                     int num_threads, const py::object& progress, Find&& find) {
  const Base base = base_arrays.over(mdp);
  const Candidates candidates = candidate_arrays.over(mdp);
  Monitor monitor = monitor_for(progress);
  const py::gil_scoped_release no_gil;
  mdp.ensure_checked(num_threads);
  const bool small = mdp.num_entries() < kParallelEntries && candidates.size() < 64;
  Team team(small ? 1 : num_threads);
  return find(base, candidates, team, monitor);
}

/// A neighbourhood with its policy; the model is kept by the binding.
struct NeighbourhoodOf {
  NeighbourhoodOf(const Mdp& mdp, Array<double> of, double discount)
      : policy(std::move(of)), shared(mdp, span_of(policy), discount) {}

  Array<double> policy;
  Neighbourhood shared;
};

struct DiscountedSumsFields {
  py::object value, bound;
  CertificateFields certificate;
};

}  // namespace

void bind_improvement(py::module_& module) {
  py::class_<BaseArrays>(module, "Base", "A base policy, its V, A and the weights of the states.")
      .def(py::init([](Array<double> policy, Array<double> value, Array<double> advantage, Array<double> weight,
                       std::optional<Array<double>> advantage_low, std::optional<Array<double>> weight_low) {
             return BaseArrays{std::move(policy), std::move(value),         std::move(advantage),
                               std::move(weight), std::move(advantage_low), std::move(weight_low)};
           }),
           py::arg("policy").noconvert(), py::arg("value").noconvert(), py::arg("advantage").noconvert(),
           py::arg("weight").noconvert(), py::arg("advantage_low").noconvert() = py::none(),
           py::arg("weight_low").noconvert() = py::none());

  py::class_<CandidateArrays>(module, "Candidates", "Whole policies, or the rows that they change.")
      .def(py::init([](Array<double> rows, std::optional<Array<Index>> start, std::optional<Array<Index>> states) {
             return CandidateArrays{std::move(start), std::move(states), std::move(rows)};
           }),
           py::arg("rows").noconvert(), py::arg("start").noconvert() = py::none(),
           py::arg("states").noconvert() = py::none());

  struct ComparisonFields {
    std::vector<Comparison> all;
    py::object abar = py::none();  // of every candidate in every state, where it was asked for
  };
  const auto field = [](double Comparison::* member) {
    return [member](const ComparisonFields& fields) { return column(fields.all, member); };
  };
  py::class_<ComparisonFields>(module, "Comparisons", "Sums and extremes over the states, (candidates,) each.")
      .def_readonly("abar", &ComparisonFields::abar)
      .def_property_readonly("alpha", field(&Comparison::alpha))
      .def_property_readonly("tv", field(&Comparison::tv))
      .def_property_readonly("kl_max", field(&Comparison::kl_max))
      .def_property_readonly("tv_visited", field(&Comparison::tv_visited))
      .def_property_readonly("kl_visited", field(&Comparison::kl_visited))
      .def_property_readonly("abar_visited", field(&Comparison::abar_visited))
      .def_property_readonly("kl", field(&Comparison::kl))
      .def_property_readonly("root_kl", field(&Comparison::root_kl))
      .def_property_readonly("abar_min", field(&Comparison::abar_min))
      .def_property_readonly("abar_max", field(&Comparison::abar_max))
      .def_property_readonly("gain", field(&Comparison::gain))
      .def_property_readonly("abar_scale", field(&Comparison::abar_scale))
      .def_property_readonly("gain_scale", field(&Comparison::gain_scale))
      .def_property_readonly("sum_change", field(&Comparison::sum_change))
      .def_property_readonly("drift", field(&Comparison::drift))
      .def_property_readonly("drift_error", field(&Comparison::drift_error))
      .def_property_readonly("drift_max", field(&Comparison::drift_max))
      .def_property_readonly("alpha_low", field(&Comparison::alpha_low))
      .def_property_readonly("tv_low", field(&Comparison::tv_low))
      .def_property_readonly("kl_max_low", field(&Comparison::kl_max_low))
      .def_property_readonly("kl_low", field(&Comparison::kl_low))
      .def_property_readonly("kl_error", field(&Comparison::kl_error))
      .def_property_readonly("abar_min_low", field(&Comparison::abar_min_low))
      .def_property_readonly("abar_max_low", field(&Comparison::abar_max_low))
      .def_property_readonly("gain_low", field(&Comparison::gain_low))
      .def_property_readonly("least_row_sum",
                             [](const ComparisonFields& fields) {
                               Numbers numbers(static_cast<py::ssize_t>(fields.all.size()));
                               double* out = numbers.mutable_data();
                               for (const Comparison& one : fields.all) *out++ = one.row_sum.lower;
                               return numbers;
                             })
      .def_property_readonly("largest_row_sum", [](const ComparisonFields& fields) {
        Numbers numbers(static_cast<py::ssize_t>(fields.all.size()));
        double* out = numbers.mutable_data();
        for (const Comparison& one : fields.all) *out++ = one.row_sum.upper;
        return numbers;
      });

  module.def(
      "compare",
      [](const Mdp& mdp, const BaseArrays& base, const CandidateArrays& candidates, bool with_abar, int num_threads,
         const py::object& progress) {
        Doubles abar;
        ComparisonFields fields{
            with_candidates(mdp, base, candidates, num_threads, progress,
                            [&](const Base& of, const Candidates& all, Team& team, Monitor& monitor) {
                              if (with_abar) abar.resize(at(all.size() * mdp.num_states()));
                              return compare(of, all, team, monitor, abar);
                            })};
        const auto count = static_cast<py::ssize_t>(fields.all.size());
        if (with_abar) fields.abar = owning_array(std::move(abar), {count, mdp.num_states()});
        return fields;
      },
      "Compares candidates with a base policy.", py::arg("mdp"), py::arg("base"), py::arg("candidates"),
      py::arg("with_abar"), py::arg("num_threads"), py::arg("progress"));

  struct StepShiftFields {
    std::vector<StepShift> all;
  };
  py::class_<StepShiftFields>(module, "StepShifts", "Sums over the shift of each candidate, (candidates,) each.")
      .def_property_readonly("l1", [](const StepShiftFields& fields) { return column(fields.all, &StepShift::l1); })
      .def_property_readonly("mass", [](const StepShiftFields& fields) { return column(fields.all, &StepShift::mass); })
      .def_property_readonly("error",
                             [](const StepShiftFields& fields) { return column(fields.all, &StepShift::error); })
      .def_property_readonly("carried",
                             [](const StepShiftFields& fields) { return column(fields.all, &StepShift::carried); });

  module.def(
      "step_shifts",
      [](const Mdp& mdp, const BaseArrays& base, const CandidateArrays& candidates,
         const std::optional<Array<double>>& functions, bool undiscounted, int num_threads,
         const py::object& progress) {
        const ConstVector f = functions ? span_of(*functions) : ConstVector{};
        return StepShiftFields{with_candidates(
            mdp, base, candidates, num_threads, progress,
            [&](const Base& of, const Candidates& all, Team& team, Monitor& monitor) {
              if (!f.empty() && ssize(f) != all.size() * mdp.num_states()) {
                throw ModelError("functions", {}, "expected a number for each state of every candidate");
              }
              return step_shifts(of, all, {f, {}}, undiscounted, team, monitor);
            })};
      },
      "Where one step of each candidate goes that a step of the base does not.", py::arg("mdp"), py::arg("base"),
      py::arg("candidates"), py::arg("functions").noconvert(), py::arg("undiscounted"), py::arg("num_threads"),
      py::arg("progress"));

  struct ReturnGapFields {
    std::vector<ReturnGap> all;
  };
  const auto high = [](Twofold ReturnGap::* member) {
    return [member](const ReturnGapFields& fields) { return part_of(fields.all, member, &Twofold::hi); };
  };
  const auto low = [](Twofold ReturnGap::* member) {
    return [member](const ReturnGapFields& fields) { return part_of(fields.all, member, &Twofold::lo); };
  };
  const auto bound = [](double ReturnGap::* member) {
    return [member](const ReturnGapFields& fields) { return column(fields.all, member); };
  };
  py::class_<ReturnGapFields>(module, "ReturnGaps", "eta' - L of each candidate, (candidates,) each.")
      .def_property_readonly("of_abar", high(&ReturnGap::of_abar))
      .def_property_readonly("of_abar_low", low(&ReturnGap::of_abar))
      .def_property_readonly("of_abar_error", bound(&ReturnGap::of_abar_error))
      .def_property_readonly("of_stored", high(&ReturnGap::of_stored))
      .def_property_readonly("of_stored_low", low(&ReturnGap::of_stored))
      .def_property_readonly("of_stored_error", bound(&ReturnGap::of_stored_error))
      .def_property_readonly("l1", high(&ReturnGap::l1))
      .def_property_readonly("l1_low", low(&ReturnGap::l1))
      .def_property_readonly("l1_error", bound(&ReturnGap::l1_error))
      .def_property_readonly("mass", bound(&ReturnGap::mass))
      .def_property_readonly("largest", bound(&ReturnGap::largest))
      .def_property_readonly("spread", bound(&ReturnGap::spread));
  const auto def_gaps = [&](const char* name, Task task) {
    module.def(
        name,
        [task](const Mdp& mdp, const BaseArrays& base, const std::array<double, 3>& errors,
               const CandidateArrays& candidates, double discount, double tolerance, int num_threads,
               const py::object& progress) {
          const auto [of_advantage, of_weight, of_value] = errors;
          const BaseErrors base_errors{of_advantage, of_weight, of_value};
          const Options options{tolerance, num_threads};
          const auto find = [&](const Base& of, const Candidates& all, Team& team, Monitor& monitor) {
            return return_gaps(of, base_errors, all, task, discount, options, team, monitor);
          };
          return ReturnGapFields{with_candidates(mdp, base, candidates, num_threads, progress, find)};
        },
        "The gaps of whole candidates, to the last digit.", py::arg("mdp"), py::arg("base"), py::arg("errors"),
        py::arg("candidates"), py::arg("discount"), py::arg("tolerance"), py::arg("num_threads"), py::arg("progress"));
  };
  def_gaps("return_gaps", Task::kDiscounted);
  def_gaps("return_gaps_episodic", Task::kEpisodic);
  def_gaps("return_gaps_average", Task::kAverage);
  module.def("kl_error", &kl_error, "Bounds the relative error of a KL.", py::arg("num_actions"));
  module.attr("COMPARISON_ERROR") = kComparisonError;

  py::class_<DiscountedSumsFields>(module, "DiscountedSumsFields", "(I - gamma P_pi)^-1 f of several policies.")
      .def_readonly("value", &DiscountedSumsFields::value)
      .def_readonly("bound", &DiscountedSumsFields::bound)
      .def_readonly("certificate", &DiscountedSumsFields::certificate);

  py::class_<NeighbourhoodOf>(module, "Neighbourhood", "What the solves for policies near one policy share.")
      .def(py::init<const Mdp&, Array<double>, double>(), py::keep_alive<1, 2>(), py::arg("mdp"),
           py::arg("policy").noconvert(), py::arg("discount"));

  module.def(
      "discounted_sums",
      [](NeighbourhoodOf& near, const Array<double>& policies, const Array<double>& functions, double tolerance,
         int num_threads, const py::object& progress) {
        const Mdp& mdp = near.shared.mdp();
        const std::vector<ConstVector> rows = rows_of(policies, mdp.num_pairs());
        if (functions.size() != static_cast<py::ssize_t>(rows.size()) * mdp.num_states()) {
          throw ModelError("functions", {}, "expected a number for each state of every policy");
        }
        Monitor monitor = monitor_for(progress);
        std::vector<DiscountedSums> results;
        {
          const py::gil_scoped_release no_gil;
          results = discounted_sums(near.shared, rows, span_of(functions), {tolerance, num_threads}, monitor);
        }
        const Shape lead{static_cast<py::ssize_t>(rows.size())};
        DiscountedSumsFields fields;
        fields.value = stacked(results, lead, {mdp.num_states()}, [](DiscountedSums& d) -> auto& { return d.value; });
        fields.bound = stacked_scalar<double>(results, lead, [](const DiscountedSums& d) { return d.bound; });
        fields.certificate =
            certificate_fields(results, lead, [](const DiscountedSums& d) -> auto& { return d.certificate; });
        return fields;
      },
      "The discounted sums of a function of the state under each policy.", py::arg("near"),
      py::arg("policies").noconvert(), py::arg("functions").noconvert(), py::arg("tolerance"), py::arg("num_threads"),
      py::arg("progress"));

  py::class_<Divergences>(module, "Divergences", "TV and KL of two policies, (num_states,) each.")
      .def_property_readonly("tv", [](const Divergences& found) { return copied(found.tv); })
      .def_property_readonly("kl", [](const Divergences& found) { return copied(found.kl); });
  module.def(
      "divergences",
      [](const Mdp& mdp, const Array<double>& policy, const Array<double>& candidate) {
        const py::gil_scoped_release no_gil;
        return divergences(mdp, span_of(policy), span_of(candidate));
      },
      "TV and KL of two policies in each state.", py::arg("mdp"), py::arg("policy").noconvert(),
      py::arg("candidate").noconvert());
}

}  // namespace rlcore::bindings

#include "rlcore/mdp.hpp"
#include "rlcore/policy.hpp"

#include "arrays.hpp"
#include "module.hpp"
#include "rlcore/errors.hpp"

namespace rlcore::bindings {
namespace {

/// Row offsets as they come, 32-bit or 64-bit.
Offsets offsets_of(const py::array& offsets) {
  if (py::isinstance<Array<std::int32_t>>(offsets)) {
    return {static_cast<const std::int32_t*>(offsets.data()), static_cast<Index>(offsets.size())};
  }
  if (py::isinstance<Array<std::int64_t>>(offsets)) {
    return {static_cast<const std::int64_t*>(offsets.data()), static_cast<Index>(offsets.size())};
  }
  throw py::type_error("row offsets: expected a contiguous array of int32 or int64");
}

MdpArrays borrow(Index num_states, const Array<double>& probability, const Array<Column>& column,
                 const py::array& row_start, const Array<double>& reward, const Array<Index>& pair_start,
                 const Array<double>& termination, const Array<double>& initial) {
  return {
      .num_states = num_states,
      .pair_start = span_of(pair_start),
      .row_start = offsets_of(row_start),
      .column = span_of(column),
      .probability = span_of(probability),
      .reward = span_of(reward),
      .termination = span_of(termination),
      .initial = span_of(initial),
      .owner = keep_alive(py::make_tuple(probability, column, row_start, reward, pair_start, termination, initial)),
  };
}

}  // namespace

void bind_mdp(py::module_& module) {
  py::class_<Mdp, std::shared_ptr<Mdp>>(module, "Mdp", "A model: borrowed arrays, checked once.")
      .def(py::init([](Index num_states, const Array<double>& probability, const Array<Column>& column,
                       const py::array& row_start, const Array<double>& reward, const Array<Index>& pair_start,
                       const Array<double>& termination, const Array<double>& initial, bool check_now) {
             MdpArrays arrays =
                 borrow(num_states, probability, column, row_start, reward, pair_start, termination, initial);
             const py::gil_scoped_release no_gil;
             return std::make_shared<Mdp>(std::move(arrays), 0, check_now ? Mdp::Check::kNow : Mdp::Check::kAtFirstUse);
           }),
           py::arg("num_states"), py::arg("probability").noconvert(), py::arg("column").noconvert(),
           py::arg("row_start"), py::arg("reward").noconvert(), py::arg("pair_start").noconvert(),
           py::arg("termination").noconvert(), py::arg("initial").noconvert(), py::arg("check_now"))
      .def(
          "ensure_checked", [](const Mdp& mdp) { mdp.ensure_checked(); }, py::call_guard<py::gil_scoped_release>(),
          "Reads everything and checks it, unless that was done before.")
      .def_property_readonly(
          "largest_row_sum",
          [](const Mdp& mdp) {
            const py::gil_scoped_release no_gil;
            mdp.ensure_checked();
            return mdp.row_sum().upper;
          },
          "Bounds the sum of the probabilities of every row.")
      .def_property_readonly("num_states", &Mdp::num_states)
      .def_property_readonly("num_pairs", &Mdp::num_pairs);

  module.def(
      "check_policy",
      [](const Mdp& mdp, const Array<double>& policy, const std::string& argument) {
        const py::gil_scoped_release no_gil;
        mdp.ensure_checked();
        check_policy(mdp, span_of(policy), -1, argument.c_str());
      },
      "Raises PolicyError, naming the argument, if it is not a distribution in every state.", py::arg("mdp"),
      py::arg("policy").noconvert(), py::arg("argument"));

  module.def(
      "rows_are_canonical",
      [](const Array<Column>& column, const py::array& row_start) {
        MdpArrays arrays;
        arrays.column = span_of(column);
        arrays.row_start = offsets_of(row_start);
        const py::gil_scoped_release no_gil;
        return rows_are_canonical(arrays);
      },
      "Whether the columns of every row increase.", py::arg("column").noconvert(), py::arg("row_start"));
}

}  // namespace rlcore::bindings

#include <optional>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "rlcore/advantage_weights.hpp"

namespace rlcore::bindings {
namespace {

struct AdvantageWeightsFields {
  py::object weight;
  double size, mean, largest_row, largest_mean, largest_value;
  Index undefined;
};

AdvantageWeightsFields weights_of(const Mdp& mdp, const std::optional<Array<double>>& policy,
                                  const Array<double>& value, const Array<double>& visits, int num_threads) {
  AdvantageWeights found;
  {
    const py::gil_scoped_release no_gil;
    Team team(mdp.num_pairs() < kParallelEntries ? 1 : num_threads);
    found = advantage_weights(mdp, policy ? span_of(*policy) : ConstVector(), span_of(value), span_of(visits), team);
  }
  const auto size = static_cast<py::ssize_t>(found.weight.size());
  return {owning_array(std::move(found.weight), {size}),
          found.size,
          found.mean,
          found.largest_row,
          found.largest_mean,
          found.largest_value,
          found.undefined};
}

}  // namespace

void bind_gradient(py::module_& module) {
  py::class_<AdvantageWeightsFields>(module, "AdvantageWeightsFields",
                                     "The weights of a gradient, and what bounds their errors.")
      .def_readonly("weight", &AdvantageWeightsFields::weight)
      .def_readonly("size", &AdvantageWeightsFields::size)
      .def_readonly("mean", &AdvantageWeightsFields::mean)
      .def_readonly("largest_row", &AdvantageWeightsFields::largest_row)
      .def_readonly("largest_mean", &AdvantageWeightsFields::largest_mean)
      .def_readonly("largest_value", &AdvantageWeightsFields::largest_value)
      .def_readonly("undefined", &AdvantageWeightsFields::undefined);

  module.def("advantage_weights", &weights_of, py::arg("mdp"), py::arg("policy").noconvert().none(true),
             py::arg("value").noconvert(), py::arg("visits").noconvert(), py::arg("num_threads"));
}

}  // namespace rlcore::bindings

#include <optional>

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "rlcore/advantage_weights.hpp"
#include "rlcore/pair_matrix.hpp"

namespace rlcore::bindings {
namespace {

struct AdvantageWeightsFields {
  py::object weight, low;
  AdvantageWeights found;
};

AdvantageWeightsFields weights_of(const Mdp& mdp, const std::optional<Array<double>>& policy,
                                  const Array<double>& value, const Array<double>& value_low,
                                  const Array<double>& visits, const Array<double>& visits_low, int num_threads) {
  AdvantageWeights found;
  {
    const py::gil_scoped_release no_gil;
    Team team(mdp.num_pairs() < kParallelEntries ? 1 : num_threads);
    found = advantage_weights(mdp, policy ? span_of(*policy) : ConstVector(), {span_of(value), span_of(value_low)},
                              {span_of(visits), span_of(visits_low)}, team);
  }
  const auto array = [](Doubles& x) {
    const auto size = static_cast<py::ssize_t>(x.size());
    return owning_array(std::move(x), {size});
  };
  py::object weight = array(found.weight), low = array(found.low);
  return {std::move(weight), std::move(low), std::move(found)};
}

struct TransposedProductFields {
  py::object value, bound;
};

TransposedProductFields product_of(const Array<Index>& first, const Array<Index>& column, const Array<double>& entry,
                                   Index num_columns, const Array<double>& weight, const Array<double>& weight_low) {
  TransposedProduct found;
  {
    const py::gil_scoped_release no_gil;
    found = transposed_product({span_of(first), span_of(column), span_of(entry), num_columns},
                               {span_of(weight), span_of(weight_low)});
  }
  return {owning_array(std::move(found.value), {num_columns}), owning_array(std::move(found.bound), {num_columns})};
}

}  // namespace

void bind_gradient(py::module_& module) {
  const auto field = [](auto member) {
    return [member](const AdvantageWeightsFields& fields) { return fields.found.*member; };
  };
  py::class_<AdvantageWeightsFields>(module, "AdvantageWeightsFields",
                                     "The weights of a gradient, and what bounds their errors.")
      .def_readonly("weight", &AdvantageWeightsFields::weight)
      .def_readonly("low", &AdvantageWeightsFields::low)
      .def_property_readonly("size", field(&AdvantageWeights::size))
      .def_property_readonly("mean", field(&AdvantageWeights::mean))
      .def_property_readonly("lost", field(&AdvantageWeights::lost))
      .def_property_readonly("largest_size", field(&AdvantageWeights::largest_size))
      .def_property_readonly("largest_row", field(&AdvantageWeights::largest_row))
      .def_property_readonly("largest_mean", field(&AdvantageWeights::largest_mean))
      .def_property_readonly("largest_lost", field(&AdvantageWeights::largest_lost))
      .def_property_readonly("largest_value", field(&AdvantageWeights::largest_value))
      .def_property_readonly("undefined", field(&AdvantageWeights::undefined));

  module.def("advantage_weights", &weights_of, "rho pi A of every pair.", py::arg("mdp"),
             py::arg("policy").noconvert().none(true), py::arg("value").noconvert(), py::arg("value_low").noconvert(),
             py::arg("visits").noconvert(), py::arg("visits_low").noconvert(), py::arg("num_threads"));

  py::class_<TransposedProductFields>(module, "TransposedProductFields", "Numbers and the bound on the error of each.")
      .def_readonly("value", &TransposedProductFields::value)
      .def_readonly("bound", &TransposedProductFields::bound);

  module.def("transposed_product", &product_of, "The transpose of a matrix of pairs times twofold numbers.",
             py::arg("first").noconvert(), py::arg("column").noconvert(), py::arg("entry").noconvert(),
             py::arg("num_columns"), py::arg("weight").noconvert(), py::arg("weight_low").noconvert());
}

}  // namespace rlcore::bindings

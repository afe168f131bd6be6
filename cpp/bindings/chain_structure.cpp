#include "rlcore/chain_structure.hpp"

#include <pybind11/stl.h>

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"
#include "rlcore/extent.hpp"
#include "rlcore/policy.hpp"
#include "rlcore/reachability.hpp"

namespace rlcore::bindings {
namespace {

/// Numbers of states, classes or steps, as NumPy indexes with them.
template <class Numbers>
py::object index_array(const Numbers& numbers) {
  py::array_t<Index> array(static_cast<py::ssize_t>(numbers.size()));
  std::copy(numbers.begin(), numbers.end(), array.mutable_data());
  return read_only(std::move(array));
}

struct ChainStructureFields {
  py::object class_of, recurrent, class_start, transient, periods, proper;
};

ChainStructureFields fields_of(const ChainStructure& structure) {
  py::array_t<bool> proper(static_cast<py::ssize_t>(structure.proper.size()));
  std::copy(structure.proper.begin(), structure.proper.end(), proper.mutable_data());
  return {index_array(structure.class_of),  index_array(structure.recurrent), index_array(structure.class_start),
          index_array(structure.transient), index_array(structure.period),    read_only(std::move(proper))};
}

}  // namespace

void bind_chain_structure(py::module_& module) {
  py::class_<ChainStructureFields>(module, "ChainStructureFields", "The fields of rlcore.ChainStructure.")
      .def_readonly("class_of", &ChainStructureFields::class_of)
      .def_readonly("recurrent", &ChainStructureFields::recurrent)
      .def_readonly("class_start", &ChainStructureFields::class_start)
      .def_readonly("transient", &ChainStructureFields::transient)
      .def_readonly("periods", &ChainStructureFields::periods)
      .def_readonly("proper", &ChainStructureFields::proper);

  module.def(
      "chain_structure",
      [](const Mdp& mdp, const Array<double>& policy, int num_threads, const py::object& progress) {
        Monitor monitor = monitor_for(progress);
        ChainStructure structure;
        {
          const py::gil_scoped_release no_gil;
          structure = chain_structure(mdp, span_of(policy), num_threads, monitor);
        }
        return fields_of(structure);
      },
      "The recurrent classes, transient states and periods of a policy's chain.", py::arg("mdp"),
      py::arg("policy").noconvert(), py::arg("num_threads"), py::arg("progress"));

  module.def(
      "reachable_states",
      [](const Mdp& mdp, const Array<double>& policy, const Array<double>& initial) {
        std::vector<char> reached;
        {
          const py::gil_scoped_release no_gil;
          Team alone(1);  // a search is serial
          const Chain chain(mdp, span_of(policy), check_policy(mdp, span_of(policy), alone));
          reached = reachable(chain, twofold(span_of(initial), alone));
        }
        return owning_array(std::move(reached), {mdp.num_states()});
      },
      "Which states a policy can visit from where `initial` is positive.", py::arg("mdp"),
      py::arg("policy").noconvert(), py::arg("initial").noconvert());
}

}  // namespace rlcore::bindings

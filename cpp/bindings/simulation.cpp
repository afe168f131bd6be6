#include "rlcore/simulation.hpp"

#include "arrays.hpp"
#include "module.hpp"
#include "monitor.hpp"

namespace rlcore::bindings {

void bind_simulation(py::module_& module) {
  module.def(
      "simulate",
      [](const Mdp& mdp, const Array<double>& policy, const Array<double>& initial, std::uint64_t seed,
         std::uint64_t first_episode, Index episodes, Index steps, int num_threads, const py::object& progress) {
        const Draws draws{seed, first_episode, episodes, steps};
        Monitor monitor = monitor_for(progress);
        Trajectories found;
        {
          const py::gil_scoped_release no_gil;
          found = simulate(mdp, span_of(policy), span_of(initial), draws, num_threads, monitor);
        }
        return py::make_tuple(owning_array(std::move(found.states), {episodes, steps + 1}),
                              owning_array(std::move(found.pairs), {episodes, steps}),
                              owning_array(std::move(found.lengths), {episodes}));
      },
      "The states, pairs and lengths of episodes.", py::arg("mdp"), py::arg("policy").noconvert(),
      py::arg("initial").noconvert(), py::arg("seed"), py::arg("first_episode"), py::arg("episodes"), py::arg("steps"),
      py::arg("num_threads"), py::arg("progress"));
}

}  // namespace rlcore::bindings

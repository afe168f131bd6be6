// Certificates as Python sees them, and the shapes of results.
#pragma once

#include "arrays.hpp"
#include "rlcore/evaluation.hpp"

namespace rlcore::bindings {

using Shape = std::vector<py::ssize_t>;

/// (num_states, num_actions) when every state has as many actions as the others, else (num_pairs,).
inline Shape pair_shape(const Mdp& mdp) {
  if (mdp.uniform_num_actions() > 0) return {mdp.num_states(), mdp.uniform_num_actions()};
  return {mdp.num_pairs()};
}

/// A number, or for a batch an array of them; texts come in a tuple, one for each item in order.
struct CertificateFields {
  py::object error_bound, residual, converged, iterations, method, story;
};

void bind_certificate(py::module_& module);

/// The low parts of twofold numbers and the bound on the error of the sums; None, if they are not known.
inline py::object remainder(Remainder&& rest) {
  if (rest.low.empty()) return py::none();
  const auto size = static_cast<py::ssize_t>(rest.low.size());
  return py::make_tuple(owning_array(std::move(rest.low), {size}), rest.bound);
}

template <class Text, class Result>
py::object texts(const std::vector<Result>& results, const Shape& lead, Text text) {
  if (lead.empty()) return py::str(text(results.front()));
  py::tuple all(results.size());
  for (std::size_t i = 0; i < results.size(); ++i) all[i] = py::str(text(results[i]));
  return all;
}

template <class Result, class Get>
CertificateFields certificate_fields(const std::vector<Result>& results, const Shape& lead, Get get) {
  CertificateFields fields;
  fields.error_bound =
      stacked_scalar<double>(results, lead, [&](const Result& result) { return get(result).error_bound; });
  fields.residual = stacked_scalar<double>(results, lead, [&](const Result& result) { return get(result).residual; });
  fields.converged = stacked_scalar<bool>(results, lead, [&](const Result& result) { return get(result).converged; });
  fields.iterations =
      stacked_scalar<Index>(results, lead, [&](const Result& result) { return get(result).iterations; });
  fields.method = texts(results, lead, [&](const Result& result) { return get(result).method; });
  fields.story = texts(results, lead, [&](const Result& result) { return get(result).story; });
  return fields;
}

}  // namespace rlcore::bindings

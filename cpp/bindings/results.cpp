#include "results.hpp"

namespace rlcore::bindings {

void bind_certificate(py::module_& module) {
  py::class_<CertificateFields>(module, "CertificateFields", "The fields of rlcore.Certificate.")
      .def_readonly("error_bound", &CertificateFields::error_bound)
      .def_readonly("residual", &CertificateFields::residual)
      .def_readonly("converged", &CertificateFields::converged)
      .def_readonly("iterations", &CertificateFields::iterations)
      .def_readonly("method", &CertificateFields::method)
      .def_readonly("story", &CertificateFields::story);
}

}  // namespace rlcore::bindings

// C++ errors become the exceptions of rlcore.errors, with the place that they name as attributes.
#include "rlcore/errors.hpp"

#include "module.hpp"

namespace rlcore::bindings {
namespace {

namespace py = pybind11;

void raise(const char* type, const InputError& error) {
  const py::object exception_type = py::module_::import("rlcore.errors").attr(type);
  const py::object exception = exception_type(error.what());
  const Place& place = error.place();
  const auto number = [](Index i) -> py::object { return i >= 0 ? py::object(py::int_(i)) : py::object(py::none()); };
  exception.attr("argument") = error.argument();
  exception.attr("fault") = error.fault();
  exception.attr("state") = number(place.state);
  exception.attr("action") = number(place.action);
  exception.attr("item") = number(place.item);
  PyErr_SetObject(exception_type.ptr(), exception.ptr());
}

void translate(std::exception_ptr pointer) {
  try {
    if (pointer) std::rethrow_exception(pointer);
  } catch (const ModelError& error) {
    raise("ModelError", error);
  } catch (const PolicyError& error) {
    raise("PolicyError", error);
  } catch (const SettingError& error) {
    raise("SettingError", error);
  } catch (const ImproperPolicyError& error) {
    raise("ImproperPolicyError", error);
  } catch (const UnboundedValueError& error) {
    raise("UnboundedValueError", error);
  }
}

}  // namespace

void bind_errors(py::module_&) { py::register_local_exception_translator(translate); }

}  // namespace rlcore::bindings

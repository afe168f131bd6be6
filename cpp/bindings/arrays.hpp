// NumPy arrays in, NumPy arrays out: spans over what the caller holds, and arrays that own what C++ made.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "rlcore/storage.hpp"
#include "rlcore/types.hpp"

namespace rlcore::bindings {

namespace py = pybind11;

/// A C-contiguous array of exactly this type: the facade converts, the bindings only look.
template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
std::span<const T> span_of(const Array<T>& array) {
  return {array.data(), static_cast<std::size_t>(array.size())};
}

/// The rows of a batch (count, length) that is stored flat.
inline std::vector<ConstVector> rows_of(const Array<double>& batch, py::ssize_t length) {
  std::vector<ConstVector> rows;
  for (py::ssize_t begin = 0; begin + length <= batch.size(); begin += length) {
    rows.emplace_back(batch.data() + begin, static_cast<std::size_t>(length));
  }
  return rows;
}

/// Keeps a Python object alive from C++, which may let go of it in any thread.
inline std::shared_ptr<const void> keep_alive(py::object object) {
  return {new py::object(std::move(object)), [](const void* held) {
            const py::gil_scoped_acquire gil;
            delete static_cast<const py::object*>(held);
          }};
}

inline py::array read_only(py::array array) {
  py::detail::array_proxy(array.ptr())->flags &= ~py::detail::npy_api::NPY_ARRAY_WRITEABLE_;
  return array;
}

/// What NumPy holds for an element of a vector: flags become booleans.
template <class T>
using Element = std::conditional_t<std::is_same_v<T, char>, bool, T>;

/// An array that takes over a vector.
template <class Vector>
py::array owning_array(Vector&& data, const std::vector<py::ssize_t>& shape) {
  using T = Element<typename Vector::value_type>;
  static_assert(sizeof(T) == sizeof(typename Vector::value_type));
  auto owned = std::make_unique<Vector>(std::move(data));
  const T* values = reinterpret_cast<const T*>(owned->data());
  const py::capsule owner(owned.get(), [](void* held) { delete static_cast<Vector*>(held); });
  owned.release();
  return read_only(py::array_t<T>(shape, values, owner));
}

/// One field of every result of a batch, stacked: shape `lead` + `tail`.
template <class Result, class Field>
py::object stacked(std::vector<Result>& results, const std::vector<py::ssize_t>& lead,
                   const std::vector<py::ssize_t>& tail, Field field) {
  using Vector = std::remove_reference_t<decltype(field(results.front()))>;
  std::vector<py::ssize_t> shape = lead;
  shape.insert(shape.end(), tail.begin(), tail.end());
  if (results.size() == 1) return owning_array(std::move(field(results.front())), shape);
  py::array_t<Element<typename Vector::value_type>> all(shape);
  auto* out = all.mutable_data();
  for (Result& result : results) {
    Vector& values = field(result);
    out = std::copy(values.begin(), values.end(), out);
    Vector().swap(values);
  }
  return read_only(std::move(all));
}

/// One number of every result: a plain number, or for a batch an array of shape `lead`.
template <class T, class Result, class Field>
py::object stacked_scalar(const std::vector<Result>& results, const std::vector<py::ssize_t>& lead, Field field) {
  if (lead.empty()) return py::cast(static_cast<T>(field(results.front())));
  py::array_t<T> all(lead);
  T* out = all.mutable_data();
  for (const Result& result : results) *out++ = static_cast<T>(field(result));
  return read_only(std::move(all));
}

}  // namespace rlcore::bindings

// A value that is made once, and then shared instead of copied. It may be empty. Equal where the values are.
//
// Immutable; may be read from any thread.
#pragma once

#include <memory>
#include <utility>

namespace poolwarden::base {

template <class T>
class Shared {
 public:
  Shared() = default;
  explicit Shared(T value) : value_(std::make_shared<const T>(std::move(value))) {}

  explicit operator bool() const { return value_ != nullptr; }
  // Precondition: not empty.
  const T& operator*() const { return *value_; }
  const T* operator->() const { return value_.get(); }

  friend bool operator==(const Shared& a, const Shared& b) {
    return a.value_ == b.value_ || (a && b && *a == *b);
  }

 private:
  std::shared_ptr<const T> value_;
};

}  // namespace poolwarden::base

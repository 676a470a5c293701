// A value that nearly no object has. Where there is none it costs a pointer, and std::optional the value's
// size.
//
// Used as std::optional is, and copied with what it holds.
#pragma once

#include <concepts>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace poolwarden::api {

template <class T>
class Rare {
 public:
  Rare() = default;
  ~Rare() = default;
  Rare(std::nullopt_t) {}         // NOLINT(google-explicit-constructor)
  Rare(std::optional<T> value) {  // NOLINT(google-explicit-constructor)
    if (value) emplace(std::move(*value));
  }
  Rare(const Rare& other) : value_(other ? std::make_unique<T>(*other) : nullptr) {}
  Rare(Rare&&) noexcept = default;
  Rare& operator=(const Rare& other) { return *this = Rare(other); }
  Rare& operator=(Rare&&) noexcept = default;
  template <class U>
    requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, Rare> &&
             !std::same_as<std::remove_cvref_t<U>, std::optional<T>> &&
             !std::same_as<std::remove_cvref_t<U>, std::nullopt_t>)
  Rare& operator=(U&& value) {
    emplace(std::forward<U>(value));
    return *this;
  }

  template <class... Args>
  void emplace(Args&&... args) {
    value_ = std::make_unique<T>(std::forward<Args>(args)...);
  }
  void reset() { value_.reset(); }

  explicit operator bool() const { return value_ != nullptr; }
  const T& operator*() const { return *value_; }
  const T* operator->() const { return value_.get(); }
  template <class U>
  T value_or(U&& otherwise) const {
    return value_ ? *value_ : static_cast<T>(std::forward<U>(otherwise));
  }
  operator std::optional<T>() const {  // NOLINT(google-explicit-constructor)
    return value_ ? std::optional<T>(*value_) : std::nullopt;
  }

  friend bool operator==(const Rare& a, const Rare& b) {
    return a && b ? *a == *b : static_cast<bool>(a) == static_cast<bool>(b);
  }
  friend bool operator==(const Rare& a, const std::optional<T>& b) {
    return a && b ? *a == *b : static_cast<bool>(a) == b.has_value();
  }
  friend bool operator==(const Rare& a, std::nullopt_t) { return !a; }
  template <class U>
    requires(!std::convertible_to<const U&, std::optional<T>> || std::convertible_to<const U&, T>)
  friend bool operator==(const Rare& a, const U& b) {
    return a && *a == b;
  }

 private:
  std::unique_ptr<T> value_;
};

}  // namespace poolwarden::api

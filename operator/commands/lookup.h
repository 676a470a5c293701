// Something looked up that may not be there, or may not be ours to read.
#pragma once

#include <optional>
#include <string>

namespace poolwarden::commands {

template <class T>
struct Lookup {
  std::optional<T> value;
  std::string problem;  // why it could not be read; empty with a value, and for what is not there

  bool is_absent() const { return !value && problem.empty(); }
};

}  // namespace poolwarden::commands

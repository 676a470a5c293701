// What this machine calls itself. In a pod that is the pod's name.
#pragma once

#include <string>
#include <unistd.h>

namespace poolwarden::base {

// Empty if it cannot be told.
inline std::string host_name() {
  char name[256] = {};
  return ::gethostname(name, sizeof name - 1) == 0 ? std::string(name) : std::string();
}

}  // namespace poolwarden::base

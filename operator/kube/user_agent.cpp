#include "kube/user_agent.h"

namespace poolwarden::kube {

std::string_view user_agent() {
  return "poolwarden/" POOLWARDEN_VERSION;
}

}  // namespace poolwarden::kube

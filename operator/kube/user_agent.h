// What the API server's audit log calls us.
#pragma once

#include <string_view>

namespace poolwarden::kube {

std::string_view user_agent();  // "poolwarden/0.1.0"

}  // namespace poolwarden::kube

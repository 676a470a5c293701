// Base64 with padding (RFC 4648), as kubeconfigs hold certificates and basic authentication wants names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::kube {

std::string base64_encode(std::string_view bytes);
// Nothing if `text` is not base64. Line breaks and blanks are skipped, as YAML block scalars bring them.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace poolwarden::kube

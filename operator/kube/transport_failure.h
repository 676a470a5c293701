// What an exception of the HTTP library means. Its texts are the only thing that tells where a request was
// when it failed. The library (cpprestsdk 2.10) is no longer developed, so they will not change.
#pragma once

#include "kube/transport.h"

#include <string>
#include <string_view>

namespace poolwarden::kube {

// `code`: as its error_code has it, an OpenSSL error among them. `refusal`: why the peer's certificate was
// last refused, if it was.
TransportError classify_failure(std::string_view text, unsigned long code, const std::string& server,
                                const std::string& refusal);

}  // namespace poolwarden::kube

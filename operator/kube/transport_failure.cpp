#include "kube/transport_failure.h"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/sslerr.h>

namespace poolwarden::kube {

TransportError classify_failure(std::string_view text, unsigned long code, const std::string& server,
                                const std::string& refusal) {
  const auto says = [&](std::string_view part) { return text.find(part) != std::string_view::npos; };
  if (says("Error resolving") || says("Failed to resolve")) {
    return {TransportFailure::kConnect, fmt::format("cannot resolve the name in {}", server)};
  }
  if (says("Failed to connect")) {
    return {TransportFailure::kConnect,
            fmt::format(
                "cannot connect to {}: refused or unreachable; is the API server up and its address right?",
                server)};
  }
  // A client certificate is asked for after the handshake of TLS 1.3, so that its lack shows later.
  constexpr unsigned long kLargestErrno = 0xffff;
  if (code > kLargestErrno && ERR_GET_LIB(code) == ERR_LIB_SSL) {
    const char* reason = ERR_reason_error_string(code);
    const bool certificate = ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED;
    return {TransportFailure::kTls, fmt::format("TLS with {} failed: {}", server,
                                                certificate && !refusal.empty() ? refusal
                                                : reason != nullptr             ? reason
                                                                                : "no reason given")};
  }
  return {TransportFailure::kCut, fmt::format("the connection to {} was cut ({})", server, text)};
}

}  // namespace poolwarden::kube

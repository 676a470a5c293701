#include "engine/engine_tls.h"

#include "kube/base64.h"
#include "kube/tls.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

namespace poolwarden::engine {
namespace {

namespace ssl = boost::asio::ssl;

constexpr long kMaxChainBytes = 32L << 10;  // of an engine's certificates
constexpr int kMaxChainDepth = 8;

TlsContexts::Context bare_context() {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // Whose arithmetic takes a known time. With finite fields an engine would choose the numbers, and so how
  // long the one thread that asks all engines is busy with them.
  SSL_CTX_set_cipher_list(native, "ECDHE+AESGCM:ECDHE+CHACHA20");
  SSL_CTX_set1_groups_list(native, "X25519:P-256:P-384");
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_max_cert_list(native, kMaxChainBytes);
  SSL_CTX_set_verify_depth(native, kMaxChainDepth);
  SSL_CTX_set_verify(native, SSL_VERIFY_PEER, nullptr);
  return context;
}

tl::expected<TlsContexts::Context, std::string> make_context(const api::EngineTls& tls) {
  const auto wrong = [](const std::string& what) {
    return tl::unexpected("spec.engine.tls.caBundle " + what);
  };
  TlsContexts::Context context = bare_context();
  if (tls.ca_bundle.empty()) {
    if (!tls.insecure_skip_verify) return wrong("is missing, and insecureSkipVerify is not true");
    context->set_verify_mode(ssl::verify_none);
    return context;
  }
  if (tls.ca_bundle.size() > api::EngineTls::kMaxCaBundle)
    return wrong(fmt::format("is longer than {} characters", api::EngineTls::kMaxCaBundle));
  const auto pem = kube::base64_decode(tls.ca_bundle);
  if (!pem) return wrong("is not base64");
  if (const std::string fault = kube::check_ca_pem(*pem); !fault.empty()) return wrong(fault);
  boost::system::error_code error;
  context->add_certificate_authority(boost::asio::buffer(*pem), error);
  if (error) return wrong(fmt::format("cannot be used ({})", error.message()));
  return context;
}

std::string described(long result, const api::EngineTls& tls, const std::string& ip) {
  switch (kube::certificate_fault(result)) {
    case kube::CertificateFault::kOtherName:
      if (tls.server_name.empty())
        return fmt::format(
            "its certificate is not for {}: set spec.engine.tls.serverName to a DNS name that it is for", ip);
      return fmt::format("its certificate is not for {}, which spec.engine.tls.serverName asks for",
                         tls.server_name);
    case kube::CertificateFault::kExpired:
      return "its certificate, or an authority of it, has expired";
    case kube::CertificateFault::kNotYetValid:
      return "its certificate is not valid yet";
    case kube::CertificateFault::kUnknownAuthority:
      return fmt::format("its certificate is not signed by an authority of spec.engine.tls.caBundle ({})",
                         X509_verify_cert_error_string(result));
    case kube::CertificateFault::kOther:
      break;
  }
  return fmt::format("its certificate is refused: {}", X509_verify_cert_error_string(result));
}

}  // namespace

tl::expected<TlsContexts::Context, std::string> TlsContexts::of(const api::EngineTls& tls) {
  // Whoever checks does not share with whoever skips.
  const std::string key = tls.ca_bundle.empty() && tls.insecure_skip_verify ? "-" : "+" + tls.ca_bundle;
  if (const Context* kept = contexts_.use(key)) return *kept;
  auto made = make_context(tls);
  if (made) contexts_.insert(key, *made);
  return made;
}

void expect_peer(SSL* connection, const api::EngineTls& tls, const std::string& ip) {
  if (!tls.server_name.empty()) kube::ask_for_name(connection, tls.server_name);
  if (tls.ca_bundle.empty()) return;
  // Out of memory: whom to expect is not known, so nobody is let pass.
  if (!kube::expect_peer(SSL_get0_param(connection), tls.server_name.empty() ? ip : tls.server_name))
    SSL_set_verify(connection, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 0; });
}

std::string refusal_of_certificate(SSL* connection, const api::EngineTls& tls, const std::string& ip) {
  const long result = SSL_get_verify_result(connection);
  if (result == X509_V_OK || tls.ca_bundle.empty()) return {};
  return described(result, tls, ip);
}

}  // namespace poolwarden::engine

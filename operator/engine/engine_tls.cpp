#include "engine/engine_tls.h"

#include "base/address.h"
#include "kube/base64.h"
#include "kube/tls.h"

#include <utility>

#include <boost/asio/buffer.hpp>
#include <fmt/format.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

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
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(native);
  X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_hostflags(param,
                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
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
  switch (result) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
      return fmt::format("its certificate is not for {}, which spec.engine.tls.serverName asks for",
                         tls.server_name);
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return fmt::format(
          "its certificate is not for {}: set spec.engine.tls.serverName to a DNS name that it is for", ip);
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "its certificate, or an authority of it, has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "its certificate is not valid yet";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return fmt::format("its certificate is not signed by an authority of spec.engine.tls.caBundle ({})",
                         X509_verify_cert_error_string(result));
    default:
      return fmt::format("its certificate is refused: {}", X509_verify_cert_error_string(result));
  }
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
  const std::string& name = tls.server_name;
  const bool is_name = !name.empty() && !base::is_ip(name);
  // The name to ask for; an address is none (RFC 6066, section 3).
  if (is_name) {
    SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
             const_cast<char*>(name.c_str()));
  }
  if (tls.ca_bundle.empty()) return;
  X509_VERIFY_PARAM* wanted = SSL_get0_param(connection);
  const int set = is_name ? X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size())
                          : X509_VERIFY_PARAM_set1_ip_asc(wanted, (name.empty() ? ip : name).c_str());
  // Out of memory: whom to expect is not known, so nobody is let pass.
  if (set != 1) SSL_set_verify(connection, SSL_VERIFY_PEER, [](int, X509_STORE_CTX*) { return 0; });
}

std::string refusal_of_certificate(SSL* connection, const api::EngineTls& tls, const std::string& ip) {
  const long result = SSL_get_verify_result(connection);
  if (result == X509_V_OK || tls.ca_bundle.empty()) return {};
  return described(result, tls, ip);
}

}  // namespace poolwarden::engine

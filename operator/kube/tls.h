// TLS as a client: whom we trust, who we are, and whether the peer is who it should be.
//
// OpenSSL does the whole check (chain, dates, name or IP address) at one place. Nothing of what an HTTP
// library does by default is relied on. Immutable once made, but for the last failure's text; any thread.
#pragma once

#include "kube/cluster_access.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include <tl/expected.hpp>

struct ssl_ctx_st;
struct ssl_st;
struct x509_store_ctx_st;
struct X509_VERIFY_PARAM_st;

namespace poolwarden::kube {

// Each returns what is wrong, for a person; empty if all is well.
std::string check_ca_pem(const std::string& pem);
std::string check_client_pem(const std::string& certificate_pem, const std::string& key_pem);

// How a peer's certificate is judged, also for those who have connections of their own. As Go's client, and
// so kubectl, has it: names stand in subjectAltName only, and what is called an authority is trusted, be it a
// root or not. `name`: a DNS name or an IP address. False: out of memory, and nobody must be let pass.
[[nodiscard]] bool expect_peer(X509_VERIFY_PARAM_st* wanted, const std::string& name);
// What the peer is asked for, before the first byte goes out. An address is no name (RFC 6066, section 3).
void ask_for_name(ssl_st* connection, const std::string& name);

// Of what kind a certificate's fault is that OpenSSL numbers so.
enum class CertificateFault : std::uint8_t { kOtherName, kExpired, kNotYetValid, kUnknownAuthority, kOther };
CertificateFault certificate_fault(long error);

struct TlsSettings {
  std::string ca_pem;  // empty: the system's own authorities
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::string server_name;  // a DNS name or an IP address
  TlsVerification verification = TlsVerification::kFull;
};

class TlsClient : public std::enable_shared_from_this<TlsClient> {
 public:
  static tl::expected<std::shared_ptr<const TlsClient>, std::string> make(TlsSettings settings);
  ~TlsClient();
  TlsClient(const TlsClient&) = delete;
  TlsClient& operator=(const TlsClient&) = delete;

  // Makes connections of `context` use and check all this. The context keeps this object alive.
  void configure(ssl_ctx_st* context) const;
  // Why the last certificate was not accepted; empty if none was refused yet.
  std::string last_refusal() const;

 private:
  struct Material;
  explicit TlsClient(TlsSettings settings);
  static int verify(x509_store_ctx_st* chain, void* self);

  const TlsSettings settings_;
  std::unique_ptr<Material> material_;
  mutable std::mutex mutex_;
  mutable std::string refusal_;  // guarded by mutex_
};

// Calls `then` when the handshake of `connection` begins, whose context a TlsClient has configured. That is
// the first moment at which its socket is known to be open. Lives as long as the connection.
void at_handshake(ssl_st* connection, std::function<void()> then);

}  // namespace poolwarden::kube

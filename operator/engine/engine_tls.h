// TLS towards engines: whom a pool trusts, and whether an engine is who it should be.
//
// TLS 1.2 at least, elliptic curves only, no renegotiation, no sessions, and chains of certificates of a
// bounded length. OpenSSL does the whole check (chain, dates, name or address). What a pool's bundle calls an
// authority is trusted, be it a root or not. What is wrong is told by its kind: no certificate of an engine
// is quoted.
//
// Contexts are kept for settings that were used lately. Owned and used by one thread.
#pragma once

#include "api/inference_pool.h"
#include "kube/lru_map.h"

#include <cstddef>
#include <memory>
#include <string>

#include <boost/asio/ssl/context.hpp>
#include <tl/expected.hpp>

namespace poolwarden::engine {

class TlsContexts {
 public:
  static constexpr std::size_t kKept = 32;
  using Context = std::shared_ptr<boost::asio::ssl::context>;

  // Or what is wrong with the settings, naming the field.
  tl::expected<Context, std::string> of(const api::EngineTls& tls);
  std::size_t size() const { return contexts_.size(); }

 private:
  kube::LruMap<Context> contexts_{kKept};
};

// Before the handshake: the engine has to be the one that is named, or else the one with that address.
void expect_peer(SSL* connection, const api::EngineTls& tls, const std::string& ip);
// After a handshake that failed: why the engine's certificate was refused; empty if it was not.
std::string refusal_of_certificate(SSL* connection, const api::EngineTls& tls, const std::string& ip);

}  // namespace poolwarden::engine

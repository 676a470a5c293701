// The certificates of a stand-in server, made at its start and good for a day. Nothing here is fit for
// anything else.
#pragma once

#include <string>

#include <tl/expected.hpp>

namespace poolwarden::apiserver {

struct KeyPair {
  std::string certificate_pem;
  std::string key_pem;
};

struct CertificateSet {
  KeyPair authority;
  KeyPair server;      // for the address, 127.0.0.1 and localhost
  KeyPair untrusted;   // the same, signed by an authority nobody knows
  KeyPair expired;     // the same, no longer valid
  KeyPair wrong_name;  // for another host
  KeyPair client;      // CN=admin
};

tl::expected<CertificateSet, std::string> make_certificates(const std::string& address);
std::string base64(const std::string& bytes);

}  // namespace poolwarden::apiserver

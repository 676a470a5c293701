// The certificates of a stand-in server, made at its start.
#pragma once

#include "support/certificates.h"

#include <string>

#include <tl/expected.hpp>

namespace poolwarden::apiserver {

using KeyPair = test::Identity;

struct CertificateSet {
  std::string authority_pem;
  KeyPair server;      // for the address, 127.0.0.1 and localhost
  KeyPair untrusted;   // the same, signed by an authority nobody knows
  KeyPair expired;     // the same, no longer valid
  KeyPair wrong_name;  // for another host
  KeyPair client;      // CN=admin
};

tl::expected<CertificateSet, std::string> make_certificates(const std::string& address);
std::string base64(const std::string& bytes);

}  // namespace poolwarden::apiserver

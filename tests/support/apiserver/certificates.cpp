#include "support/apiserver/certificates.h"

#include <stdexcept>
#include <vector>

#include <openssl/evp.h>

namespace poolwarden::apiserver {

tl::expected<CertificateSet, std::string> make_certificates(const std::string& address) {
  constexpr const char* kName = "poolwarden-standin";
  std::vector<std::string> names = {"DNS:localhost", "DNS:kubernetes", "DNS:kubernetes.default.svc",
                                    "IP:127.0.0.1"};
  if (address != "127.0.0.1") names.push_back("IP:" + address);
  try {
    const test::Authority authority("poolwarden-standin-ca");
    const test::Authority stranger("nobody-knows-me");
    return CertificateSet{authority.pem(),
                          authority.issue(kName, names),
                          stranger.issue(kName, names),
                          authority.issue(kName, names, test::Validity::kExpired),
                          authority.issue("elsewhere", {"DNS:elsewhere.example"}),
                          authority.issue("admin", {})};
  } catch (const std::runtime_error& error) {
    return tl::unexpected(std::string(error.what()));
  }
}

std::string base64(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(length));
  return out;
}

}  // namespace poolwarden::apiserver

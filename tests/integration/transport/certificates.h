// Certificates made for one test run: an authority and what it signs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

namespace poolwarden::test {

struct Identity {
  std::string certificate_pem;
  std::string key_pem;
};

enum class Validity { kNow, kExpired, kNotYet };

class Authority {
 public:
  explicit Authority(const std::string& name);
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  const std::string& pem() const { return pem_; }
  // `alternative_names` as OpenSSL writes them: "DNS:localhost", "IP:127.0.0.1".
  Identity issue(const std::string& name, const std::vector<std::string>& alternative_names,
                 Validity validity = Validity::kNow) const;

 private:
  EVP_PKEY* key_;
  X509* certificate_;
  std::string pem_;
};

}  // namespace poolwarden::test

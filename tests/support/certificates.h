// Certificates made for one test run: an authority and what it signs. Nothing here is fit for anything else.
// Throws std::runtime_error when OpenSSL cannot make one.
#pragma once

#include <memory>
#include <string>
#include <vector>

struct evp_pkey_st;
struct x509_st;

namespace poolwarden::test {

struct Identity {
  std::string certificate_pem;
  std::string key_pem;
};

enum class Validity { kNow, kExpired, kNotYet };

class Authority {
 public:
  explicit Authority(const std::string& name);
  Authority(const std::string& name, const Authority& issuer);  // not signed by itself
  ~Authority();
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;

  const std::string& pem() const { return pem_; }
  // `alternative_names` as OpenSSL writes them: "DNS:localhost", "IP:127.0.0.1".
  Identity issue(const std::string& name, const std::vector<std::string>& alternative_names,
                 Validity validity = Validity::kNow) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const;
    void operator()(x509_st* certificate) const;
  };
  const std::unique_ptr<evp_pkey_st, Free> key_;
  const std::unique_ptr<x509_st, Free> certificate_;
  const std::string pem_;
};

}  // namespace poolwarden::test

#include "certificates.h"

#include <atomic>
#include <stdexcept>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace poolwarden::test {
namespace {

constexpr long kDay = 24L * 60 * 60;

void must(bool ok, const char* what) {
  if (!ok) {
    throw std::runtime_error(std::string("cannot make a test certificate: ") + what);
  }
}

template <class Write>
std::string to_pem(Write write) {
  BIO* bio = BIO_new(BIO_s_mem());
  must(bio != nullptr && write(bio) == 1, "PEM");
  char* data = nullptr;
  const auto size = BIO_ctrl(bio, BIO_CTRL_INFO, 0, &data);
  std::string out(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return out;
}

std::string certificate_to_pem(X509* certificate) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

EVP_PKEY* new_key() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  must(key != nullptr, "key");
  return key;
}

X509* unsigned_certificate(const std::string& name, EVP_PKEY* key, Validity validity) {
  static std::atomic<long> serial{1};
  X509* certificate = X509_new();
  must(certificate != nullptr, "certificate");
  X509_set_version(certificate, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++);
  const long from = validity == Validity::kNotYet ? kDay : validity == Validity::kExpired ? -2 * kDay : -kDay;
  const long to = validity == Validity::kExpired ? -kDay : 30 * kDay;
  X509_gmtime_adj(X509_getm_notBefore(certificate), from);
  X509_gmtime_adj(X509_getm_notAfter(certificate), to);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  must(extension != nullptr, value.c_str());
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

}  // namespace

Authority::Authority(const std::string& name)
    : key_(new_key()), certificate_(unsigned_certificate(name, key_, Validity::kNow)) {
  X509_set_issuer_name(certificate_, X509_get_subject_name(certificate_));
  extend(certificate_, certificate_, NID_basic_constraints, "critical,CA:TRUE");
  extend(certificate_, certificate_, NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(certificate_, certificate_, NID_subject_key_identifier, "hash");
  must(X509_sign(certificate_, key_, EVP_sha256()) != 0, "signature");
  pem_ = certificate_to_pem(certificate_);
}

Authority::~Authority() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

Identity Authority::issue(const std::string& name, const std::vector<std::string>& alternative_names,
                          Validity validity) const {
  EVP_PKEY* key = new_key();
  X509* certificate = unsigned_certificate(name, key, validity);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate_));
  std::string names;
  for (const std::string& alternative : alternative_names) {
    names += (names.empty() ? "" : ",") + alternative;
  }
  if (!names.empty()) {
    extend(certificate, certificate_, NID_subject_alt_name, names);
  }
  must(X509_sign(certificate, key_, EVP_sha256()) != 0, "signature");
  Identity out;
  out.certificate_pem = certificate_to_pem(certificate);
  out.key_pem = to_pem(
      [&](BIO* bio) { return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr); });
  X509_free(certificate);
  EVP_PKEY_free(key);
  return out;
}

}  // namespace poolwarden::test

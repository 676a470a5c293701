#include "support/certificates.h"

#include <stdexcept>

#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

namespace poolwarden::test {
namespace {

template <auto Function>
struct Freed {
  void operator()(auto* object) const { Function(object); }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;

constexpr long kDay = 24L * 60 * 60;

void must(bool ok, const char* what) {
  if (!ok) {
    throw std::runtime_error(std::string("cannot make a test certificate: ") + what);
  }
}

template <class Write>
std::string to_pem(Write write) {
  const Bio bio(BIO_new(BIO_s_mem()));
  must(bio != nullptr && write(bio.get()) == 1, "PEM");
  char* data = nullptr;
  const auto size = BIO_ctrl(bio.get(), BIO_CTRL_INFO, 0, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string certificate_to_pem(X509* certificate) {
  return to_pem([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); });
}

EVP_PKEY* new_key() {
  EVP_PKEY* key = EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256");
  must(key != nullptr, "key");
  return key;
}

void extend(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  must(extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1, value.c_str());
}

// Of nobody yet: without an issuer and a signature.
X509* new_certificate(const std::string& name, EVP_PKEY* key, Validity validity) {
  Certificate certificate(X509_new());
  must(certificate != nullptr, "certificate");
  X509_set_version(certificate.get(), X509_VERSION_3);
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate.get()), serial >> 1U);
  const long from = validity == Validity::kNotYet ? kDay : validity == Validity::kExpired ? -2 * kDay : -kDay;
  const long to = validity == Validity::kExpired ? -kDay : 30 * kDay;
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), from);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), to);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate.release();
}

// `issuer` null: signed by itself.
X509* new_authority(const std::string& name, EVP_PKEY* key, X509* issuer, EVP_PKEY* signing_key) {
  Certificate certificate(new_certificate(name, key, Validity::kNow));
  X509* by = issuer != nullptr ? issuer : certificate.get();
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(by));
  extend(certificate.get(), by, NID_basic_constraints, "critical,CA:TRUE");
  extend(certificate.get(), by, NID_key_usage, "critical,keyCertSign,cRLSign");
  extend(certificate.get(), by, NID_subject_key_identifier, "hash");
  must(X509_sign(certificate.get(), signing_key, EVP_sha256()) != 0, "signature");
  return certificate.release();
}

}  // namespace

void Authority::Free::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}
void Authority::Free::operator()(x509_st* certificate) const {
  X509_free(certificate);
}

Authority::Authority(const std::string& name)
    : key_(new_key()),
      certificate_(new_authority(name, key_.get(), nullptr, key_.get())),
      pem_(certificate_to_pem(certificate_.get())) {}

Authority::Authority(const std::string& name, const Authority& issuer)
    : key_(new_key()),
      certificate_(new_authority(name, key_.get(), issuer.certificate_.get(), issuer.key_.get())),
      pem_(certificate_to_pem(certificate_.get())) {}

Authority::~Authority() = default;

Identity Authority::issue(const std::string& name, const std::vector<std::string>& alternative_names,
                          Validity validity) const {
  const Key key(new_key());
  const Certificate certificate(new_certificate(name, key.get(), validity));
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate_.get()));
  if (!alternative_names.empty()) {
    extend(certificate.get(), certificate_.get(), NID_subject_alt_name,
           fmt::format("{}", fmt::join(alternative_names, ",")));
  }
  must(X509_sign(certificate.get(), key_.get(), EVP_sha256()) != 0, "signature");
  return {certificate_to_pem(certificate.get()), to_pem([&](BIO* bio) {
            return PEM_write_bio_PrivateKey(bio, key.get(), nullptr, nullptr, 0, nullptr, nullptr);
          })};
}

}  // namespace poolwarden::test

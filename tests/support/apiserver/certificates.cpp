#include "support/apiserver/certificates.h"

#include <memory>
#include <vector>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace poolwarden::apiserver {
namespace {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Extension = std::unique_ptr<X509_EXTENSION, Deleter<X509_EXTENSION_free>>;

constexpr long kDay = 24L * 60 * 60;

struct Wanted {
  std::string common_name;
  std::string names;  // subjectAltName, "DNS:localhost,IP:127.0.0.1"
  std::string usage;  // extendedKeyUsage
  bool authority = false;
  long from = -3600;
  long until = kDay;
};

struct Made {
  Key key;
  Certificate certificate;
};

bool add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()));
  return extension && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// `issuer` null: signed by itself.
tl::expected<Made, std::string> make(const Wanted& wanted, const Made* issuer) {
  Made made{Key(EVP_EC_gen("P-256")), Certificate(X509_new())};
  if (!made.key || !made.certificate) return tl::unexpected(std::string("no key could be made"));
  X509* certificate = made.certificate.get();
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  bool ok = X509_set_version(certificate, 2) == 1;
  ok = ok && ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1U) == 1;
  ok = ok && X509_gmtime_adj(X509_getm_notBefore(certificate), wanted.from) != nullptr;
  ok = ok && X509_gmtime_adj(X509_getm_notAfter(certificate), wanted.until) != nullptr;
  ok = ok && X509_set_pubkey(certificate, made.key.get()) == 1;
  X509_NAME* name = X509_get_subject_name(certificate);
  ok = ok && X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                        reinterpret_cast<const unsigned char*>(wanted.common_name.c_str()),
                                        -1, -1, 0) == 1;
  X509* signer = issuer != nullptr ? issuer->certificate.get() : certificate;
  ok = ok && X509_set_issuer_name(certificate, X509_get_subject_name(signer)) == 1;
  ok = ok && add_extension(certificate, signer, NID_basic_constraints,
                           wanted.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  ok = ok && add_extension(
                 certificate, signer, NID_key_usage,
                 wanted.authority ? "critical,keyCertSign,digitalSignature" : "critical,digitalSignature");
  if (!wanted.names.empty())
    ok = ok && add_extension(certificate, signer, NID_subject_alt_name, wanted.names);
  if (!wanted.usage.empty()) ok = ok && add_extension(certificate, signer, NID_ext_key_usage, wanted.usage);
  EVP_PKEY* key = issuer != nullptr ? issuer->key.get() : made.key.get();
  if (!ok || X509_sign(certificate, key, EVP_sha256()) == 0) {
    return tl::unexpected(fmt::format("no certificate could be made for {}", wanted.common_name));
  }
  return made;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

KeyPair to_pem(const Made& made) {
  const Bio certificate(BIO_new(BIO_s_mem()));
  const Bio key(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(certificate.get(), made.certificate.get());
  PEM_write_bio_PrivateKey(key.get(), made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return {text_of(certificate.get()), text_of(key.get())};
}

}  // namespace

tl::expected<CertificateSet, std::string> make_certificates(const std::string& address) {
  const auto authority = make({"poolwarden-standin-ca", "", "", true}, nullptr);
  const auto stranger = make({"nobody-knows-me", "", "", true}, nullptr);
  if (!authority) return tl::unexpected(authority.error());
  if (!stranger) return tl::unexpected(stranger.error());
  std::string names = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default.svc,IP:127.0.0.1";
  if (address != "127.0.0.1") names += ",IP:" + address;
  CertificateSet out;
  out.authority = to_pem(*authority);
  struct Job {
    KeyPair* into;
    Wanted wanted;
    const Made* issuer;
  };
  const std::vector<Job> jobs = {
      {&out.server, {"poolwarden-standin", names, "serverAuth"}, &*authority},
      {&out.untrusted, {"poolwarden-standin", names, "serverAuth"}, &*stranger},
      {&out.expired, {"poolwarden-standin", names, "serverAuth", false, -2 * kDay, -kDay}, &*authority},
      {&out.wrong_name, {"elsewhere", "DNS:elsewhere.example", "serverAuth"}, &*authority},
      {&out.client, {"admin", "", "clientAuth"}, &*authority},
  };
  for (const Job& job : jobs) {
    const auto made = make(job.wanted, job.issuer);
    if (!made) return tl::unexpected(made.error());
    *job.into = to_pem(*made);
  }
  return out;
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

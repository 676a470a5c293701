#include "kube/tls.h"

#include "base/address.h"

#include <arpa/inet.h>
#include <vector>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace poolwarden::kube {
namespace {

template <class T, void (*Free)(T*)>
struct Freed {
  void operator()(T* object) const { Free(object); }
};
struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using Store = std::unique_ptr<X509_STORE, Freed<X509_STORE, X509_STORE_free>>;

// OpenSSL's own reason for its last error; clears the queue, which is per thread and shared by everyone.
std::string openssl_reason() {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  std::string out = reason != nullptr ? reason : "unreadable";
  ERR_clear_error();
  return out;
}

Bio memory(const std::string& text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

// No terminal is there to ask at; without this OpenSSL would, for certificates too.
int no_passphrase(char*, int, int, void*) {
  return 0;
}

tl::expected<std::vector<Certificate>, std::string> parse_certificates(const std::string& pem) {
  std::vector<Certificate> out;
  const Bio bio = memory(pem);
  ERR_clear_error();
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
    out.emplace_back(certificate);
  }
  const unsigned long error = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
  if (out.empty() || !at_end) {
    if (at_end) {
      ERR_clear_error();
      return tl::unexpected(std::string("holds no PEM certificate (-----BEGIN CERTIFICATE-----)"));
    }
    return tl::unexpected(fmt::format("holds a broken PEM certificate ({})", openssl_reason()));
  }
  ERR_clear_error();
  return out;
}

tl::expected<Key, std::string> parse_key(const std::string& pem) {
  if (pem.find("ENCRYPTED") != std::string::npos) {
    return tl::unexpected(
        std::string("is encrypted with a passphrase, which cannot be asked for; decrypt it first"));
  }
  ERR_clear_error();
  const Bio bio = memory(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
  if (!key) {
    return tl::unexpected(fmt::format("holds no usable PEM private key ({})", openssl_reason()));
  }
  return key;
}

// The names a certificate is good for, to say what it was instead of ours.
std::string names_of(X509* certificate) {
  std::string out;
  const auto add = [&](std::string_view name) {
    constexpr std::size_t kEnough = 300;
    if (out.size() < kEnough) {
      out.append(out.empty() ? "" : ", ").append(name);
    }
  };
  auto* names =
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names, i);
    if (name->type == GEN_DNS) {
      add({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
           static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName))});
    } else if (name->type == GEN_IPADD) {
      const int length = ASN1_STRING_length(name->d.iPAddress);
      char text[INET6_ADDRSTRLEN] = "";
      if (length == 4 || length == 16) {
        ::inet_ntop(length == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), text,
                    sizeof text);
        add(text);
      }
    }
  }
  GENERAL_NAMES_free(names);
  return out.empty() ? "no name at all" : out;
}

// Where an SSL_CTX keeps its TlsClient, and with it the reference that keeps that alive.
int self_index() {
  static const int index = SSL_CTX_get_ex_new_index(
      0, nullptr, nullptr, nullptr, [](void*, void* held, CRYPTO_EX_DATA*, int, long, void*) {
        delete static_cast<std::shared_ptr<const TlsClient>*>(held);
      });
  return index;
}

// Where an SSL keeps what at_handshake() was given.
int at_handshake_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr,
                                                [](void*, void* held, CRYPTO_EX_DATA*, int, long, void*) {
                                                  delete static_cast<std::function<void()>*>(held);
                                                });
  return index;
}

std::string refusal_text(const std::string& server, int error, X509* leaf) {
  switch (certificate_fault(error)) {
    case CertificateFault::kOtherName:
      return fmt::format(
          "its certificate is not for {} but for {}; correct the server address or set tls-server-name",
          server, leaf != nullptr ? names_of(leaf) : "another");
    case CertificateFault::kExpired:
      return "its certificate, or an authority of it, has expired";
    case CertificateFault::kNotYetValid:
      return "its certificate is not valid yet; is the clock of this machine right?";
    case CertificateFault::kUnknownAuthority:
      return fmt::format(
          "its certificate is not signed by an authority we trust ({}); correct certificate-authority",
          X509_verify_cert_error_string(error));
    case CertificateFault::kOther:
      break;
  }
  return fmt::format("its certificate is refused: {}", X509_verify_cert_error_string(error));
}

}  // namespace

struct TlsClient::Material {
  Store store;
  std::vector<Certificate> chain;  // ours, leaf first
  Key key;
};

bool expect_peer(X509_VERIFY_PARAM* wanted, const std::string& name) {
  X509_VERIFY_PARAM_set_hostflags(wanted,
                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  X509_VERIFY_PARAM_set_flags(wanted, X509_V_FLAG_PARTIAL_CHAIN);
  return (base::is_ip(name) ? X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str())
                            : X509_VERIFY_PARAM_set1_host(wanted, name.c_str(), name.size())) == 1;
}

void ask_for_name(SSL* connection, const std::string& name) {
  if (base::is_ip(name)) return;
  SSL_ctrl(connection, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
           const_cast<char*>(name.c_str()));
}

CertificateFault certificate_fault(long error) {
  switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return CertificateFault::kOtherName;
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return CertificateFault::kExpired;
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return CertificateFault::kNotYetValid;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return CertificateFault::kUnknownAuthority;
    default:
      return CertificateFault::kOther;
  }
}

std::string check_ca_pem(const std::string& pem) {
  const auto parsed = parse_certificates(pem);
  return parsed ? std::string() : parsed.error();
}

std::string check_client_pem(const std::string& certificate_pem, const std::string& key_pem) {
  const auto chain = parse_certificates(certificate_pem);
  if (!chain) {
    return "client-certificate " + chain.error();
  }
  const auto key = parse_key(key_pem);
  if (!key) {
    return "client-key " + key.error();
  }
  if (X509_check_private_key(chain->front().get(), key->get()) != 1) {
    ERR_clear_error();
    return "client-key is not the key of client-certificate";
  }
  return {};
}

TlsClient::TlsClient(TlsSettings settings)
    : settings_(std::move(settings)), material_(std::make_unique<Material>()) {}

TlsClient::~TlsClient() = default;

tl::expected<std::shared_ptr<const TlsClient>, std::string> TlsClient::make(TlsSettings settings) {
  const std::shared_ptr<TlsClient> client(new TlsClient(std::move(settings)));
  const TlsSettings& wanted = client->settings_;
  Material& material = *client->material_;
  material.store.reset(X509_STORE_new());
  if (!material.store) {
    return tl::unexpected(std::string("out of memory"));
  }
  if (wanted.ca_pem.empty()) {
    X509_STORE_set_default_paths(material.store.get());
  } else {
    auto authorities = parse_certificates(wanted.ca_pem);
    if (!authorities) {
      return tl::unexpected("certificate-authority " + authorities.error());
    }
    for (const Certificate& authority : *authorities) {
      X509_STORE_add_cert(material.store.get(), authority.get());  // a duplicate is no error that matters
      ERR_clear_error();
    }
  }
  if (!wanted.client_certificate_pem.empty()) {
    if (std::string wrong = check_client_pem(wanted.client_certificate_pem, wanted.client_key_pem);
        !wrong.empty()) {
      return tl::unexpected(std::move(wrong));
    }
    material.chain = std::move(*parse_certificates(wanted.client_certificate_pem));
    material.key = std::move(*parse_key(wanted.client_key_pem));
  }
  return client;
}

void TlsClient::configure(SSL_CTX* context) const {
  SSL_CTX_ctrl(context, SSL_CTRL_SET_MIN_PROTO_VERSION, TLS1_2_VERSION, nullptr);
  SSL_CTX_set1_cert_store(context, material_->store.get());
  if (!material_->chain.empty()) {
    SSL_CTX_use_certificate(context, material_->chain.front().get());
    for (std::size_t i = 1; i < material_->chain.size(); ++i) {
      SSL_CTX_add1_chain_cert(context, material_->chain[i].get());
    }
    SSL_CTX_use_PrivateKey(context, material_->key.get());
  }
  auto self = std::make_unique<std::shared_ptr<const TlsClient>>(shared_from_this());
  if (SSL_CTX_set_ex_data(context, self_index(), self.get()) != 1) {
    // Out of memory: trust nobody.
    SSL_CTX_set_cert_verify_callback(
        context, [](X509_STORE_CTX*, void*) { return 0; }, nullptr);
    return;
  }
  self.release();
  // Replaces the check as a whole, so that no verify callback of an HTTP library has a say in it.
  SSL_CTX_set_cert_verify_callback(context, &TlsClient::verify, const_cast<TlsClient*>(this));
  SSL_CTX_set_info_callback(context, [](const SSL* ssl, int where, int) {
    if ((where & SSL_CB_HANDSHAKE_START) == 0) {
      return;
    }
    if (const auto* then = static_cast<std::function<void()>*>(SSL_get_ex_data(ssl, at_handshake_index()))) {
      (*then)();
    }
    const auto* held = static_cast<const std::shared_ptr<const TlsClient>*>(
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), self_index()));
    if (held != nullptr) ask_for_name(const_cast<SSL*>(ssl), (*held)->settings_.server_name);
  });
}

int TlsClient::verify(X509_STORE_CTX* chain, void* self) {
  const auto& client = *static_cast<const TlsClient*>(self);
  if (client.settings_.verification == TlsVerification::kNone) {
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    return 1;
  }
  X509_STORE_CTX_set_verify_cb(chain, [](int ok, X509_STORE_CTX*) { return ok; });
  X509_VERIFY_PARAM* wanted = X509_STORE_CTX_get0_param(chain);
  const std::string& name = client.settings_.server_name;
  if (expect_peer(wanted, name) && X509_verify_cert(chain) == 1) {
    return 1;
  }
  const int error = X509_STORE_CTX_get_error(chain);
  const std::lock_guard lock(client.mutex_);
  client.refusal_ = refusal_text(name, error, X509_STORE_CTX_get0_cert(chain));
  return 0;
}

void at_handshake(SSL* connection, std::function<void()> then) {
  delete static_cast<std::function<void()>*>(SSL_get_ex_data(connection, at_handshake_index()));
  auto held = std::make_unique<std::function<void()>>(std::move(then));
  if (SSL_set_ex_data(connection, at_handshake_index(), held.get()) == 1) {
    held.release();
  }
}

std::string TlsClient::last_refusal() const {
  const std::lock_guard lock(mutex_);
  return refusal_;
}

}  // namespace poolwarden::kube

#include "kube/base64.h"

#include <climits>
#include <openssl/evp.h>

namespace poolwarden::kube {

std::string base64_encode(std::string_view bytes) {
  if (bytes.size() > INT_MAX / 2) {
    return {};
  }
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  std::string packed;
  packed.reserve(text.size());
  for (const char c : text) {
    if (c != '\n' && c != '\r' && c != ' ' && c != '\t') {
      packed += c;
    }
  }
  if (packed.size() % 4 != 0 || packed.size() > INT_MAX / 2) {
    return std::nullopt;
  }
  // EVP_DecodeBlock takes '=' anywhere and counts padding as data.
  const std::size_t padding = packed.size() - (packed.find_last_not_of('=') + 1);
  const std::size_t first_padding = packed.find('=');
  if (padding > 2 || (first_padding != std::string::npos && first_padding + padding != packed.size())) {
    return std::nullopt;
  }
  std::string out(packed.size() / 4 * 3, '\0');
  const int size =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                      reinterpret_cast<const unsigned char*>(packed.data()), static_cast<int>(packed.size()));
  if (size < 0) {
    return std::nullopt;
  }
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

}  // namespace poolwarden::kube

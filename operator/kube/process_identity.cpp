#include "kube/process_identity.h"

#include "kube/read_file.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <random>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>

namespace poolwarden::kube {
namespace {

constexpr std::size_t kMaxBootId = 64;

// A name that another process of this host can have only after this one, in the same network namespace.
std::optional<std::string> lasting_name(const std::string& host) {
  auto boot = read_file("/proc/sys/kernel/random/boot_id", kMaxBootId);
  struct stat net {};
  if (!boot || stat("/proc/self/ns/net", &net) != 0) return std::nullopt;
  while (!boot->empty() && boot->back() == '\n') boot->pop_back();
  if (boot->empty()) return std::nullopt;
  return fmt::format("{}_{}_{}", host, *boot, net.st_ino);
}

// Of a fixed length, and the same whatever release computes it.
std::string digest(const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> bytes{};
  unsigned int size = 0;
  if (EVP_Digest(text.data(), text.size(), bytes.data(), &size, EVP_sha256(), nullptr) != 1) return {};
  return fmt::format("{:02x}", fmt::join(bytes.begin(), bytes.begin() + size, ""));
}

// The kernel closes it with the process, however that ends. Not inherited by programs that are started.
int claim_socket(const std::string& host, const std::string& election) {
  const std::string hash = digest(host + "\n" + election);
  const std::string name = "poolwarden-operator/" + hash;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (hash.empty() || name.size() + 1 > sizeof address.sun_path) return -1;
  // The first byte stays zero: an abstract name, which is no file.
  std::memcpy(address.sun_path + 1, name.data(), name.size());
  const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0) return -1;
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  if (bind(made, reinterpret_cast<const sockaddr*>(&address), length) == 0) return made;
  close(made);
  return -1;
}

std::string random_name(const std::string& host) {
  std::random_device entropy;
  return fmt::format("{}_{:016x}", host, (std::uint64_t{entropy()} << 32) | entropy());
}

}  // namespace

ProcessIdentity ProcessIdentity::claim(const std::string& host, const std::string& election) {
  auto name = lasting_name(host);
  const int socket = name ? claim_socket(host, election) : -1;
  if (socket < 0) return {random_name(host), -1};
  return {std::move(*name), socket};
}

ProcessIdentity::~ProcessIdentity() {
  if (socket_ >= 0) close(socket_);
}

}  // namespace poolwarden::kube

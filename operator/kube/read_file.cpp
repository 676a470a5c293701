#include "kube/read_file.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <fmt/format.h>

namespace poolwarden::kube {

tl::expected<std::string, std::string> read_file(const std::string& path, std::size_t max_bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), &std::fclose);
  if (!file) {
    return tl::unexpected(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
  }
  std::string out;
  std::array<char, 8192> buffer{};
  while (true) {
    const std::size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get());
    out.append(buffer.data(), n);
    if (out.size() > max_bytes) {
      return tl::unexpected(fmt::format("{} is longer than {} bytes", path, max_bytes));
    }
    if (n < buffer.size()) {
      if (std::ferror(file.get()) != 0) {  // a directory opens and then fails to read
        return tl::unexpected(fmt::format("cannot read {}: {}", path, std::strerror(errno)));
      }
      return out;
    }
  }
}

}  // namespace poolwarden::kube

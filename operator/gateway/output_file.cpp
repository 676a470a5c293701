#include "gateway/output_file.h"

#include "base/fd.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

constexpr mode_t kMode = 0644;  // the gateway may run as another user

// 0 or an errno.
int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return errno;
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

// "/run/a" -> "/run/.a.new": hidden, so that no `include *.conf` takes it up.
std::string scratch_of(const std::string& path) {
  const std::size_t name = path.rfind('/') + 1;  // npos + 1 is 0
  return fmt::format("{}.{}.new", path.substr(0, name), path.substr(name));
}

}  // namespace

OutputFile::OutputFile(std::string path, std::string reader)
    : path_(std::move(path)), scratch_(scratch_of(path_)), reader_(std::move(reader)) {}

kube::Error OutputFile::failure(int error, std::string_view doing) const {
  kube::Error out{kube::ErrorClass::kRetry, 0, "CannotWrite", {}, std::nullopt};
  std::string mend;
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      mend = fmt::format(": make the directory, and have {} see it too (one volume in both containers)",
                         reader_);
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      out.cls = kube::ErrorClass::kForbidden;
      mend =
          ": this user must be able to write in the directory (an emptyDir with the pod's fsGroup is enough)";
      break;
    case ENOSPC:
    case EDQUOT:
      mend = fmt::format(": make room, or raise the volume's sizeLimit; {} keeps the file before", reader_);
      break;
    case EISDIR:
    case EINVAL:
      mend = ": a file belongs there; remove what is in its place";
      break;
    case EFBIG:
      mend = fmt::format(": it is longer than {} MiB; remove it", kMaxBytes >> 20);
      break;
    default:
      break;
  }
  out.message = fmt::format("cannot {} {} for {}: {}{}", doing, path_, reader_,
                            std::system_category().message(error), mend);
  return out;
}

kube::Result<std::optional<std::string>> OutputFile::read() const {
  // A pipe of that name would keep us waiting for its writer.
  const base::Fd fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    if (errno == ENOENT) return std::optional<std::string>();
    return tl::unexpected(failure(errno, "read"));
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return tl::unexpected(failure(errno, "read"));
  if (!S_ISREG(status.st_mode)) return tl::unexpected(failure(EISDIR, "read"));
  std::string text;
  std::array<char, 64 * 1024> piece{};
  while (true) {
    const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
    if (got == 0) return std::optional(std::move(text));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected(failure(errno, "read"));
    if (text.size() + static_cast<std::size_t>(got) > kMaxBytes)
      return tl::unexpected(failure(EFBIG, "read"));
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
}

kube::Result<void> OutputFile::replace(const std::string& text) const {
  const auto give_up = [this](int error) {
    ::unlink(scratch_.c_str());
    return tl::unexpected(failure(error, "write"));
  };
  ::unlink(scratch_.c_str());  // left by one that was killed
  const base::Fd fd(::open(scratch_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
  if (fd.get() < 0) return tl::unexpected(failure(errno, "write"));
  // Whatever the umask is.
  if (::fchmod(fd.get(), kMode) != 0) return give_up(errno);
  if (const int error = write_all(fd.get(), text)) return give_up(error);
  // Not forced onto the disk, which may take longer than all else that a withdrawal takes. What a power
  // failure leaves of it is written anew: it is not what is wanted.
  if (std::rename(scratch_.c_str(), path_.c_str()) != 0) return give_up(errno);
  return {};
}

}  // namespace poolwarden::gateway

// A file descriptor that closes itself. Owned and used by one thread.
#pragma once

#include <unistd.h>
#include <utility>

namespace poolwarden::base {

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  ~Fd() { reset(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;

  int get() const { return fd_; }  // -1: none
  void reset(int fd = -1) {
    const int before = std::exchange(fd_, fd);
    if (before >= 0) ::close(before);
  }

 private:
  int fd_;
};

}  // namespace poolwarden::base

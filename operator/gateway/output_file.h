// A file that a gateway reads: read and replaced whole. The one place that does I/O with it.
//
// Promises: whoever reads the file sees the one before or the one after, never a part: it is renamed into
// place, which Envoy's `watched_directory` waits for. When it cannot be written, the one before stays. A file
// longer than kMaxBytes, or that is no file, is an error. Errors name the path, what is wrong and how to mend
// it.
//
// Owned and used by one thread; both block it, as long as the disk takes.
#pragma once

#include "kube/result.h"

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::gateway {

class OutputFile {
 public:
  static constexpr std::size_t kMaxBytes = 16u << 20;

  // `reader`: who reads it, for messages: "Envoy".
  OutputFile(std::string path, std::string reader);

  kube::Result<std::optional<std::string>> read() const;  // nothing: there is none
  kube::Result<void> replace(const std::string& text) const;

  const std::string& path() const { return path_; }

 private:
  kube::Error failure(int error, std::string_view doing) const;

  const std::string path_;
  const std::string scratch_;  // beside it, so that it can be renamed
  const std::string reader_;
};

}  // namespace poolwarden::gateway

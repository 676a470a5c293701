// A whole file as text, bounded; the error names the path and what the system said.
#pragma once

#include <cstddef>
#include <string>

#include <tl/expected.hpp>

namespace poolwarden::kube {

tl::expected<std::string, std::string> read_file(const std::string& path, std::size_t max_bytes);

}  // namespace poolwarden::kube

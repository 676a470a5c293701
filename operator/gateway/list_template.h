// A mustache template and what it makes of a list: the text of a file that a gateway reads.
//
// Promises: a template that would not do what its author thinks is refused, with the line and the fix: an
// unknown name, a name where it has no value, a section that is not closed. Partials, lambdas and other
// delimiters are off. Nothing is escaped, and nothing needs to be: a name or a zone has only characters that
// names in Kubernetes have, whatever the list says. No template makes this hang or grow: it is at most
// kMaxBytes long and kMaxDepth deep, its text at most kMaxOutput, and its work is bounded.
//
// Pure, but for memory. A value; one thread at a time, copies included.
#pragma once

#include "gateway/server_address.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::gateway {

// An endpoint as a template sees it.
struct ListedServer {
  ServerAddress address;
  std::string name;  // the pod's
  std::string zone;  // may be empty
  bool ready = true;

  bool operator==(const ListedServer&) const = default;
};

struct ListNames {
  std::string pool;
  std::string ns;
};

class ListTemplate {
 public:
  static constexpr std::size_t kMaxBytes = 128u << 10;
  static constexpr std::size_t kMaxDepth = 16;
  static constexpr std::size_t kMaxOutput = 16u << 20;

  // The error is for a person: "line 3: ...".
  static tl::expected<ListTemplate, std::string> parse(std::string text);

  // The error is for a person.
  tl::expected<std::string, std::string> render(const ListNames& names,
                                                const std::vector<ListedServer>& servers) const;

 private:
  struct Impl;
  explicit ListTemplate(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<Impl> impl_;
};

}  // namespace poolwarden::gateway

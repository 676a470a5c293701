#include "commands/target.h"

#include "commands/view.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::commands {
namespace {

// https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
bool is_name(const std::string& text) {
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  });
}

}  // namespace

tl::expected<Target, std::string> parse_target(const std::string& text) {
  Target out;
  const std::size_t slash = text.find('/');
  out.name = slash == std::string::npos ? text : text.substr(slash + 1);
  if (slash != std::string::npos) {
    const std::string kind = text.substr(0, slash);
    if (kind == "pod" || kind == "pods" || kind == "po") {
      out.kind = TargetKind::kPod;
    } else if (kind == "node" || kind == "nodes" || kind == "no") {
      out.kind = TargetKind::kNode;
    } else {
      return tl::unexpected(fmt::format(
          "'{}': only pods and nodes can be named here, as pod/NAME or node/NAME", shortened(text)));
    }
  }
  if (!is_name(out.name))
    return tl::unexpected(fmt::format("'{}' is not a name that Kubernetes allows", shortened(text)));
  return out;
}

}  // namespace poolwarden::commands

#include "commands/list_pages.h"

#include "base/json_read.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;

constexpr int kPage = 500;
constexpr std::size_t kMaxObjects = 500'000;  // a page without any counts as one

enum class Step { kMore, kDone };

// Takes the page's items, and the token of the next one into `scope`.
Step take(json page, kube::Call& scope, std::vector<json>& out) {
  if (const auto items = page.find("items"); items != page.end() && items->is_array()) {
    for (json& item : *items) out.push_back(std::move(item));
  }
  scope.continue_token = base::string_at(base::member(page, "metadata"), "continue");
  return scope.continue_token.empty() ? Step::kDone : Step::kMore;
}

kube::Error expired(const kube::Call& scope) {
  return {kube::ErrorClass::kRetry, 410, "Expired",
          fmt::format("{}: the list expired twice before its last page was read: try again, or ask for one "
                      "namespace with -n",
                      kube::describe(scope)),
          std::nullopt};
}

kube::Error stands_still(const kube::Call& scope) {
  return {
      kube::ErrorClass::kTerminal, 0, "EndlessList",
      fmt::format("{}: the list does not go on: a page names itself as the next one", kube::describe(scope)),
      std::nullopt};
}

kube::Error too_long(const kube::Call& scope) {
  return {kube::ErrorClass::kTerminal, 0, "TooManyObjects",
          fmt::format("{}: the list has more than {} objects: ask for one namespace with -n",
                      kube::describe(scope), kMaxObjects),
          std::nullopt};
}

}  // namespace

kube::Result<std::vector<json>> list_pages(kube::Call scope, const AskPage& ask) {
  scope.verb = kube::Verb::kList;
  scope.limit = kPage;
  scope.continue_token.clear();
  std::vector<json> out;
  bool restarted = false;
  std::size_t empty_pages = 0;
  while (out.size() + empty_pages < kMaxObjects) {
    auto answer = ask(scope);
    if (answer) {
      const std::size_t before = out.size();
      const std::string asked = scope.continue_token;
      if (take(std::move(*answer), scope, out) == Step::kDone) return out;
      if (scope.continue_token == asked) return tl::unexpected(stands_still(scope));
      empty_pages += out.size() == before ? 1U : 0U;
      scope.limit = std::min(kPage, scope.limit * 2);
      continue;
    }
    if (answer.error().reason == kube::kAnswerTooLarge && scope.limit > 1) {
      scope.limit /= 2;
      continue;
    }
    if (answer.error().cls != kube::ErrorClass::kRelist || scope.continue_token.empty())
      return tl::unexpected(std::move(answer.error()));
    if (std::exchange(restarted, true)) return tl::unexpected(expired(scope));
    scope.continue_token.clear();
    out.clear();
    empty_pages = 0;
  }
  return tl::unexpected(too_long(scope));
}

}  // namespace poolwarden::commands

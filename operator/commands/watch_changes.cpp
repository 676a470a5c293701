#include "commands/watch_changes.h"

#include "api/names.h"
#include "commands/status_report.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace poolwarden::commands {
namespace {

std::string name_of(const PoolView& pool) {
  return fmt::format("{}/{}", pool.ns, pool.name);
}

std::string number(const std::optional<std::int32_t>& count) {
  return count ? std::to_string(*count) : "no number";
}

void add_counts(const PoolView& before, const PoolView& after, std::vector<std::string>& out) {
  std::vector<std::string> parts;
  const auto compare = [&parts](const char* what, std::int32_t was, std::int32_t is) {
    if (was != is) parts.push_back(fmt::format("{} {} (was {})", is, what, was));
  };
  if (before.wanted != after.wanted)
    parts.push_back(fmt::format("{} wanted (was {})", number(after.wanted), number(before.wanted)));
  compare(after.replicas == 1 ? "pod" : "pods", before.replicas, after.replicas);
  compare("ready", before.ready, after.ready);
  compare("serving", before.serving, after.serving);
  compare("draining", before.draining, after.draining);
  if (!parts.empty()) out.push_back(fmt::format("{}: {}", name_of(after), fmt::join(parts, ", ")));
}

std::string endpoint_line(const PoolView& pool, const EndpointView& endpoint, api::Timestamp now) {
  std::string out = fmt::format("{}: pod {} ", name_of(pool), endpoint.pod);
  out += has_sentence(endpoint.state) ? state_sentence(endpoint, now) : endpoint.state;
  if (!endpoint.reason.empty()) out += fmt::format(" ({})", endpoint.reason);
  if (!endpoint.message.empty()) out += "; " + endpoint.message;
  return out;
}

bool is_news(const EndpointView& before, const EndpointView& after) {
  return before.state != after.state || before.reason != after.reason ||
         before.in_flight != after.in_flight || before.message != after.message || before.ip != after.ip;
}

void add_endpoints(const PoolView* before, const PoolView& after, api::Timestamp now,
                   std::vector<std::string>& out) {
  for (const EndpointView& each : after.endpoints) {
    const EndpointView* was = before == nullptr ? nullptr : before->endpoint(each.pod);
    if (was == nullptr || is_news(*was, each)) out.push_back(endpoint_line(after, each, now));
  }
  if (before == nullptr) return;
  for (const EndpointView& each : before->endpoints) {
    // A ready one leaves the list first; status tells why, a moment later.
    if (after.endpoint(each.pod) == nullptr)
      out.push_back(fmt::format("{}: pod {} {}", name_of(after), each.pod,
                                each.state == "ready" ? "off the list" : "gone"));
  }
}

// A status that is about to catch up with the spec is no news: every change of the spec goes through that.
std::vector<Problem> lasting_problems(const PoolView& pool) {
  auto out = problems(pool);
  std::erase_if(out, [](const Problem& problem) { return problem.reason == kNotObserved; });
  return out;
}

void add_problems(const PoolView* before, const PoolView& after, std::vector<std::string>& out) {
  const auto now = lasting_problems(after);
  const auto then = before == nullptr ? std::vector<Problem>{} : lasting_problems(*before);
  const auto same = [](const Problem& a, const Problem& b) {
    return a.type == b.type && a.status == b.status && a.reason == b.reason;
  };
  for (const Problem& each : now) {
    if (std::any_of(then.begin(), then.end(), [&](const Problem& was) { return same(was, each); })) continue;
    const std::string what =
        each.type.empty() ? each.reason : fmt::format("{}={} {}", each.type, each.status, each.reason);
    out.push_back(fmt::format("{}: {}: {}", name_of(after), what, each.message));
  }
  for (const Problem& each : then) {
    const bool still = std::any_of(now.begin(), now.end(), [&](const Problem& is) {
      return is.type == each.type && (!is.type.empty() || is.reason == each.reason);
    });
    if (!still)
      out.push_back(
          fmt::format("{}: {}: well again", name_of(after), each.type.empty() ? each.reason : each.type));
  }
}

}  // namespace

std::vector<std::string> changes(const PoolView* before, const PoolView* after, api::Timestamp now) {
  std::vector<std::string> out;
  if (after == nullptr) {
    if (before != nullptr) out.push_back(fmt::format("{}: deleted", name_of(*before)));
    return out;
  }
  if (before == nullptr) {
    out.push_back(fmt::format("{}: {} wanted, {} {}, {} ready, {} serving, {} draining", name_of(*after),
                              number(after->wanted), after->replicas, after->replicas == 1 ? "pod" : "pods",
                              after->ready, after->serving, after->draining));
  } else {
    add_counts(*before, *after, out);
  }
  add_endpoints(before, *after, now, out);
  add_problems(before, *after, out);
  return out;
}

}  // namespace poolwarden::commands

#include "control/engine_keys.h"

#include "base/backoff.h"
#include "kube/base64.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

constexpr std::string_view kHow = "docs/operations.md#keys-of-engines";

std::string problem_of(const std::string& name, const kube::Error& error) {
  if (error.cls == kube::ErrorClass::kForbidden) {
    return fmt::format("the operator may not read Secret {}: give its service account `get` on it, {}", name,
                       kHow);
  }
  if (error.is_not_found()) {
    return fmt::format("Secret {}, which spec.engine.apiKeySecret names, is not there", name);
  }
  // What else the API server says of it is not passed on: it may be anything.
  const std::string why = error.http_status == 0 ? "no answer" : fmt::format("HTTP {}", error.http_status);
  return fmt::format("Secret {} cannot be read for now ({}); the operator tries again", name, why);
}

// What is wrong with a key, after "key NAME of Secret NAME"; empty: nothing.
std::string fault_of(const std::optional<std::string>& value) {
  if (!value) return "is not base64";
  if (value->empty()) return "is empty";
  if (value->size() > EngineKeys::kMaxKey) return fmt::format("is longer than {} bytes", EngineKeys::kMaxKey);
  const auto printable = [](char c) { return c >= ' ' && c <= '~'; };
  if (std::all_of(value->begin(), value->end(), printable)) return {};
  return "has a line break or another character that no HTTP header may have";
}

}  // namespace

EngineKeys::Known EngineKeys::want(const kube::ObjectKey& secret, const std::string& key,
                                   const kube::ObjectKey& pool, kube::TimePoint now) {
  Source& source = sources_[secret];
  Entry& entry = source.entries[key];
  entry.wanted_at = now;
  // A key that nobody wanted before is not known, however fresh the others are.
  if (!entry.was_read && source.problem.empty()) source.next_read = std::min(source.next_read, now);
  if (!source.under_way && now >= source.next_read) {
    source.under_way = true;
    due_.push(secret);
  }
  const bool is_doubtful = entry.refused && source.under_way;
  if (entry.key && !is_doubtful) return {entry.key, {}};
  if (!entry.key && !entry.problem.empty()) return {{}, entry.problem};
  if (!entry.key && !source.problem.empty()) return {{}, source.problem};
  source.waiting.insert(pool);
  return {};
}

std::vector<kube::ObjectKey> EngineKeys::take_due() {
  std::vector<kube::ObjectKey> out;
  while (!due_.empty() && under_way_ < kAtOnce) {
    out.push_back(due_.pop());
    ++under_way_;
  }
  return out;
}

std::set<kube::ObjectKey> EngineKeys::arrived(const kube::ObjectKey& name,
                                              const kube::Result<api::Secret>& secret, kube::TimePoint now) {
  const auto found = sources_.find(name);
  if (found == sources_.end() || !found->second.under_way) return {};
  Source& source = found->second;
  --under_way_;
  source.under_way = false;
  source.read_at = now;
  if (!secret) {
    failed(name.name, source, secret.error(), now);
    return std::exchange(source.waiting, {});
  }
  source.problem.clear();
  bool is_whole = true;
  for (auto& [key, entry] : source.entries) {
    const auto value = secret->data.find(key);
    if (value == secret->data.end()) {
      entry = {{},
               fmt::format("Secret {} has no key {}: see spec.engine.apiKeySecret.key", name.name, key),
               true,
               false,
               entry.wanted_at};
    } else {
      take(name.name, value->second, key, source);
    }
    is_whole = is_whole && entry.problem.empty();
  }
  source.failures = is_whole ? 0 : source.failures + 1;
  source.next_read =
      now + (is_whole ? kFresh : base::exponential_delay(kFirstPause, source.failures - 1, kLongestPause));
  return std::exchange(source.waiting, {});
}

void EngineKeys::take(const std::string& name, std::string_view text, const std::string& key,
                      Source& source) {
  Entry& entry = source.entries[key];
  auto value = kube::base64_decode(text);
  const std::string fault = fault_of(value);
  entry.was_read = true;
  entry.refused = false;
  entry.problem.clear();
  if (!fault.empty()) {
    entry.key = {};
    entry.problem = fmt::format("key {} of Secret {} {}", key, name, fault);
    return;
  }
  if (entry.key && entry.key->value == *value) return;
  entry.key = base::Shared(engine::ApiKey{++last_id_, std::move(*value)});
  source.refusals = 0;
}

void EngineKeys::failed(const std::string& name, Source& source, const kube::Error& error,
                        kube::TimePoint now) {
  source.problem = problem_of(name, error);
  source.next_read = now + base::exponential_delay(kFirstPause, source.failures++, kLongestPause);
  if (!error.is_out_of_reach()) return;
  for (auto& [key, entry] : source.entries) entry = {{}, {}, false, false, entry.wanted_at};
}

// Many engines may refuse one key: the first makes it doubtful.
void EngineKeys::refused(std::uint64_t id, kube::TimePoint now) {
  for (auto& [name, source] : sources_) {
    for (auto& [key, entry] : source.entries) {
      if (!entry.key || entry.key->id != id) continue;
      if (std::exchange(entry.refused, true)) return;
      const auto pause = base::exponential_delay(kAfterRefusal, source.refusals++, kFresh);
      const kube::TimePoint hastened = std::max(now, source.read_at + pause);
      if (source.failures == 0) source.next_read = std::min(source.next_read, hastened);
      return;
    }
  }
}

void EngineKeys::sweep(kube::TimePoint now) {
  for (auto& [name, source] : sources_) {
    if (source.under_way) continue;
    std::erase_if(source.entries, [now](const auto& item) { return now - item.second.wanted_at > kMemory; });
  }
  std::erase_if(sources_, [](const auto& item) { return item.second.entries.empty(); });
}

}  // namespace poolwarden::control

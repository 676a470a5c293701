#include "gateway/worker_answers.h"

#include "base/address.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

using nlohmann::json;

constexpr std::array<std::pair<WorkerDialect, std::string_view>, 3> kDialects{
    {{WorkerDialect::kVllmRouter, "vllm-router"},
     {WorkerDialect::kSglangRouter, "sglang-router"},
     {WorkerDialect::kSmg, "smg"}}};
constexpr std::size_t kMaxUrl = 2'000;
constexpr std::size_t kMaxId = 64;
constexpr std::size_t kMaxShownOfAnswer = 100;

kube::Error unreadable(WorkerDialect dialect, const std::string& what) {
  return {kube::ErrorClass::kRetry, 0, "Unreadable",
          fmt::format("the list of workers is not one that {} gives: {}. Is --dialect right?",
                      to_string(dialect), what),
          std::nullopt};
}

std::string shown(std::string_view text) {
  return base::ascii(base::cut(text, kMaxShownOfAnswer));
}

// Ids are UUIDs. One that is not could say more than one word of a path.
bool is_id(std::string_view text) {
  return !text.empty() && text.size() <= kMaxId && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-';
  });
}

// Nothing if it is not there or no string.
const std::string* text_of(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : found->get_ptr<const std::string*>();
}

tl::expected<ObservedWorker, std::string> parse_worker(WorkerDialect dialect, const json& entry) {
  if (!entry.is_object()) return tl::unexpected(std::string("a worker is not an object"));
  const std::string* url = text_of(entry, "url");
  if (url == nullptr) return tl::unexpected(std::string("a worker has no \"url\""));
  if (url->empty() || url->size() > kMaxUrl)
    return tl::unexpected(fmt::format("a worker's URL has {} bytes", url->size()));
  ObservedWorker worker{*url, *url, parse_worker_url(*url), WorkerState::kServing};
  if (dialect == WorkerDialect::kVllmRouter) return worker;
  const std::string* id = text_of(entry, "id");
  if (id == nullptr || !is_id(*id))
    return tl::unexpected(fmt::format("worker '{}' has no \"id\" that is a UUID", shown(*url)));
  worker.id = *id;
  const std::string* status = text_of(entry, "status");
  if (status != nullptr && *status == "draining") worker.state = WorkerState::kDraining;
  return worker;
}

json parse_json(std::string_view body) {
  if (body.size() > kMaxListBytes) return json(json::value_t::discarded);
  return json::parse(body.begin(), body.end(), nullptr, false);
}

}  // namespace

std::string_view to_string(WorkerDialect dialect) {
  for (const auto& [each, name] : kDialects) {
    if (each == dialect) return name;
  }
  return "router";
}

std::optional<WorkerDialect> parse_worker_dialect(std::string_view text) {
  for (const auto& [dialect, name] : kDialects) {
    if (name == text) return dialect;
  }
  return std::nullopt;
}

kube::Result<std::vector<ObservedWorker>> parse_workers(WorkerDialect dialect, std::string_view body) {
  if (body.size() > kMaxListBytes) {
    return tl::unexpected(unreadable(
        dialect, fmt::format("it has {} bytes, and {} at most are read", body.size(), kMaxListBytes)));
  }
  const json document = parse_json(body);
  if (document.is_discarded())
    return tl::unexpected(unreadable(dialect, fmt::format("'{}' is not JSON", shown(body))));
  if (!document.is_object()) return tl::unexpected(unreadable(dialect, "it is not an object"));
  const auto list = document.find("workers");
  if (list == document.end() || !list->is_array())
    return tl::unexpected(unreadable(dialect, "\"workers\" is not a list"));
  if (list->size() > kMaxWorkers) {
    return tl::unexpected(unreadable(
        dialect, fmt::format("it has {} workers, and {} at most are read", list->size(), kMaxWorkers)));
  }
  std::vector<ObservedWorker> workers;
  workers.reserve(list->size());
  for (const json& entry : *list) {
    auto worker = parse_worker(dialect, entry);
    if (!worker) return tl::unexpected(unreadable(dialect, worker.error()));
    workers.push_back(*std::move(worker));
  }
  return workers;
}

std::optional<ServerAddress> parse_worker_url(std::string_view url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  url.remove_prefix(kScheme.size());
  if (url.ends_with('/')) url.remove_suffix(1);
  const auto parts = base::split_host_port(url);
  if (!parts) return std::nullopt;
  const auto port = base::parse_port(parts->port);
  // Brackets are for IPv6 and for nothing else.
  if (!port || parts->bracketed != (parts->host.find(':') != std::string_view::npos)) return std::nullopt;
  return make_address(parts->host, *port);
}

std::optional<std::string> parse_added_id(std::string_view body) {
  const json document = parse_json(body);
  if (!document.is_object()) return std::nullopt;
  const std::string* id = text_of(document, "worker_id");
  if (id == nullptr || !is_id(*id)) return std::nullopt;
  return *id;
}

std::optional<AdditionJob> parse_addition_job(std::string_view body) {
  const json document = parse_json(body);
  if (!document.is_object()) return std::nullopt;
  const auto job = document.find("job_status");
  if (job == document.end() || !job->is_object()) return std::nullopt;
  AdditionJob out;
  const std::string* status = text_of(*job, "status");
  out.failed = status != nullptr && *status == "failed";
  if (const std::string* message = text_of(*job, "message")) out.message = shown(*message);
  return out;
}

}  // namespace poolwarden::gateway

#include "support/sim/sim_engines.h"

#include "kube/resource.h"
#include "support/apiserver/json_util.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>

#include <nlohmann/json.hpp>

namespace poolwarden::sim {
namespace {

using apiserver::text_at;
using nlohmann::json;

// One in this many requests never ends by itself.
constexpr std::uint64_t kEndless = 150;

}  // namespace

std::string_view to_string(Metrics metrics) {
  switch (metrics) {
    case Metrics::kHonest:
      return "honest";
    case Metrics::kHangs:
      return "hangs";
    case Metrics::kGone:
      return "gone";
    case Metrics::kBroken:
      return "broken";
    case Metrics::kLies:
      break;
  }
  return "lies";
}

SimEngines::SimEngines(VirtualTime& time, const apiserver::Model& model, EngineOptions options)
    : time_(time), model_(model), options_(std::move(options)), dice_(options_.seed) {}

kube::Duration SimEngines::up_to(kube::Duration most) {
  return kube::Duration(
      static_cast<kube::Duration::rep>(dice_() % static_cast<std::uint64_t>(most.count() + 1)));
}

void SimEngines::changed(const std::set<std::string>& plurals) {
  if (plurals.contains("pods")) look_at_pods();
  if (plurals.contains("configmaps") && !config_map_.empty()) look_at_list();
}

void SimEngines::look_at_pods() {
  std::set<std::string> living;
  for (const auto& object : model_.list(kube::kPods, "default")) {
    if (!cluster::is_active(object->body())) continue;
    const std::string uid = text_at(object->body(), {"metadata", "uid"});
    living.insert(uid);
    const auto [found, fresh] = pods_.try_emplace(uid);
    if (fresh && options_.metrics_of_next_pod) found->second.metrics = options_.metrics_of_next_pod();
    found->second.ip = text_at(object->body(), {"status", "podIP"});
  }
  std::erase_if(pods_, [&](const auto& item) { return !living.contains(item.first); });
}

void SimEngines::look_at_list() {
  const auto map = model_.find(kube::kConfigMaps, "default", config_map_);
  if (!map) return;  // a gateway keeps what it has
  const json list = json::parse(text_at(map->body(), {"data", "endpoints.json"}), nullptr, false);
  if (!list.is_object() || !list.contains("endpoints")) return;
  std::vector<std::string> ready;
  for (const json& endpoint : list.at("endpoints")) {
    if (endpoint.value("state", "") == "ready") ready.push_back(endpoint.value("ip", ""));
  }
  time_.after(up_to(options_.gateway_lag), [this, ready = std::move(ready), number = ++lists_]() mutable {
    if (number < newest_list_) return;
    newest_list_ = number;
    known_ = std::move(ready);
  });
}

void SimEngines::send_requests(std::string config_map) {
  config_map_ = std::move(config_map);
  look_at_list();
  time_.after(options_.between_requests, [this] { send_one(); });
}

void SimEngines::send_one() {
  time_.after(up_to(2 * options_.between_requests), [this] { send_one(); });
  if (known_.empty()) return;
  const std::string& ip = known_[dice_() % known_.size()];
  const auto lasts = dice_() % kEndless == 0 ? std::chrono::hours(24) : up_to(options_.longest_request);
  for (auto& [uid, pod] : pods_) {
    if (pod.ip == ip) pod.requests.insert(time_.now().mono + lasts);
  }
}

int SimEngines::in_flight(const std::string& uid) {
  const auto found = pods_.find(uid);
  if (found == pods_.end()) return 0;
  auto& requests = found->second.requests;
  requests.erase(requests.begin(), requests.upper_bound(time_.now().mono));
  return static_cast<int>(requests.size());
}

Metrics SimEngines::metrics(const std::string& uid) const {
  const auto found = pods_.find(uid);
  return found == pods_.end() ? Metrics::kGone : found->second.metrics;
}

void SimEngines::lose(const std::string& uid) {
  if (const auto found = pods_.find(uid); found != pods_.end()) found->second.requests.clear();
}

EngineAnswer SimEngines::answer(const engine::LoadRequest& request) {
  const auto found = std::find_if(pods_.begin(), pods_.end(),
                                  [&request](const auto& item) { return item.second.ip == request.ip; });
  const kube::Duration after = std::chrono::milliseconds(1) + up_to(std::chrono::milliseconds(20));
  if (found == pods_.end()) return {tl::unexpected(engine::NoLoad{"connection refused", true}), after};
  switch (found->second.metrics) {
    case Metrics::kHangs:
      return {engine::Load{}, std::chrono::hours(1)};
    case Metrics::kGone:
      return {tl::unexpected(engine::NoLoad{"HTTP 404"}), after};
    case Metrics::kBroken:
      return {tl::unexpected(engine::NoLoad{"it answers with HTML"}), after};
    case Metrics::kLies:
      return {engine::Load{}, after};
    case Metrics::kHonest:
      break;
  }
  engine::Load load;
  load.in_flight = in_flight(found->first);
  load.cache_usage = std::min(1.0, load.in_flight / 20);
  return {load, after};
}

}  // namespace poolwarden::sim

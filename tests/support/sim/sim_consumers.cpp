#include "support/sim/sim_consumers.h"

#include "api/objects.h"
#include "base/time.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace poolwarden::sim {
namespace {

using nlohmann::json;

constexpr kube::Duration kRenewal = std::chrono::seconds(10);
constexpr const char* kLeases = "/apis/coordination.k8s.io/v1/namespaces/default/leases";

std::string path_of(const std::string& name) {
  return fmt::format("{}/{}", kLeases, name);
}

// Of the pool's list, a shard each.
std::vector<json> documents(const SimWorld& world, const std::string& pool) {
  std::vector<json> out;
  std::size_t shards = 1;
  for (std::size_t shard = 1; shard <= shards; ++shard) {
    const std::string suffix = shard == 1 ? "" : fmt::format("-{}", shard);
    const json map =
        world.find({"", "v1", "configmaps", "ConfigMap"}, "default", pool + "-endpoints" + suffix);
    const json data = map.is_null() ? json::object() : map.value("data", json::object());
    json document = json::parse(data.value("endpoints.json", ""), nullptr, /*allow_exceptions=*/false);
    if (!document.is_object()) return out;
    if (shard == 1) shards = document.value("shards", std::size_t{1});
    out.push_back(std::move(document));
  }
  return out;
}

}  // namespace

SimConsumers::SimConsumers(SimWorld& world) : world_(world) {
  world_.add_watcher([this](const std::set<std::string>& changed) {
    if (changed.contains("configmaps")) list_changed();
  });
}

void SimConsumers::start(const std::string& name, ConsumerOptions options) {
  Consumer& consumer = consumers_[name];
  const std::uint64_t life = consumer.life + 1;
  consumer = {};
  consumer.options = std::move(options);
  consumer.life = life;
  consumer.alive = true;
  read(name);
  renew_later(name, life);
}

void SimConsumers::die(const std::string& name) {
  consumers_.at(name).alive = false;
}

void SimConsumers::leave(const std::string& name) {
  die(name);
  consumers_.at(name).gone = true;
  world_.request(kube::HttpMethod::kDelete, path_of(name), nullptr);
}

void SimConsumers::say(const std::string& name, const std::string& revisions) {
  Consumer& consumer = consumers_.at(name);
  consumer.fixed = revisions;
  write(name, consumer, revisions);
}

void SimConsumers::follow(const std::string& name) {
  consumers_.at(name).fixed.reset();
  read(name);
}

std::vector<std::int64_t> SimConsumers::revisions(const std::string& pool) const {
  std::vector<std::int64_t> out;
  for (const json& document : documents(world_, pool))
    out.push_back(document.value("revision", std::int64_t{0}));
  return out;
}

std::string SimConsumers::awaited(const std::string& pod_uid) const {
  for (const auto& [name, consumer] : consumers_) {
    const bool live =
        world_.time().now().mono < consumer.wrote + std::chrono::seconds(consumer.options.lease_seconds);
    const auto off = off_.find({consumer.options.pool, pod_uid});
    if (consumer.gone || !live || off == off_.end()) continue;
    const auto said = api::parse_revisions(consumer.said).value_or(std::vector<std::int64_t>{});
    const auto [shard, revision] = off->second;
    if (shard >= said.size() || said[shard] < revision) return name;
  }
  return {};
}

void SimConsumers::look_at_list(const std::string& pool) {
  std::map<PodOfPool, std::size_t> now;
  const auto shards = documents(world_, pool);
  for (std::size_t shard = 0; shard < shards.size(); ++shard) {
    for (const json& endpoint : shards[shard].value("endpoints", json::array())) {
      if (endpoint.value("state", "") == "ready") now[{pool, endpoint.value("uid", "")}] = shard;
    }
  }
  for (const auto& [pod, shard] : listed_) {
    if (pod.first == pool && !now.contains(pod) && shard < shards.size())
      off_[pod] = {shard, shards[shard].value("revision", std::int64_t{0})};
  }
  std::erase_if(listed_, [&](const auto& item) { return item.first.first == pool; });
  std::erase_if(off_, [&](const auto& item) { return now.contains(item.first); });
  listed_.merge(now);
}

void SimConsumers::list_changed() {
  std::set<std::string> pools;
  for (const auto& [name, consumer] : consumers_) pools.insert(consumer.options.pool);
  for (const std::string& pool : pools) look_at_list(pool);
  for (auto& [name, consumer] : consumers_) {
    if (consumer.alive && !consumer.fixed) read_soon(name);
  }
}

void SimConsumers::read_soon(const std::string& name) {
  Consumer& consumer = consumers_.at(name);
  if (std::exchange(consumer.read_due, true)) return;
  world_.time().after(consumer.options.delay, [this, name, life = consumer.life] {
    Consumer& later = consumers_.at(name);
    if (later.life != life) return;
    later.read_due = false;
    if (later.alive && !later.fixed) read(name);
  });
}

void SimConsumers::read(const std::string& name) {
  Consumer& consumer = consumers_.at(name);
  const std::string now = fmt::format("{}", fmt::join(revisions(consumer.options.pool), ","));
  if (now != consumer.said || consumer.said.empty()) write(name, consumer, now);
}

void SimConsumers::write(const std::string& name, Consumer& consumer, const std::string& revisions) {
  const std::string now = base::to_micro_time(world_.time().now().wall);
  json metadata = {
      {"name", name},
      {"labels",
       {{"poolwarden.io/pool", consumer.options.pool}, {"poolwarden.io/consumer", consumer.options.kind}}},
      {"annotations", json::object()}};
  if (!revisions.empty()) {
    metadata["annotations"]["poolwarden.io/applied-revisions"] = revisions;
    metadata["annotations"]["poolwarden.io/applied-at"] = now;
  }
  const json body = {{"apiVersion", "coordination.k8s.io/v1"},
                     {"kind", "Lease"},
                     {"metadata", metadata},
                     {"spec",
                      {{"holderIdentity", name},
                       {"leaseDurationSeconds", consumer.options.lease_seconds},
                       {"renewTime", now}}}};
  consumer.said = revisions;
  consumer.wrote = world_.time().now().mono;
  const bool is_there =
      !world_.find({"coordination.k8s.io", "v1", "leases", "Lease"}, "default", name).is_null();
  if (is_there) {
    world_.merge_patch(path_of(name), body);
  } else {
    world_.request(kube::HttpMethod::kPost, kLeases, body);
  }
}

void SimConsumers::renew_later(const std::string& name, std::uint64_t life) {
  world_.time().after(kRenewal, [this, name, life] {
    Consumer& consumer = consumers_.at(name);
    if (!consumer.alive || consumer.life != life) return;
    consumer.wrote = world_.time().now().mono;
    world_.merge_patch(path_of(name),
                       {{"spec", {{"renewTime", base::to_micro_time(world_.time().now().wall)}}}});
    renew_later(name, life);
  });
}

}  // namespace poolwarden::sim

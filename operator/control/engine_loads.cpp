#include "control/engine_loads.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::control {
namespace {

// Before pods are chosen among, their engines are asked about this often.
constexpr kube::Duration kChoicePoll = std::chrono::seconds(1);
// While a reading waits for its turn.
constexpr kube::Duration kStillWanted = std::chrono::seconds(1);
// Of one reading: a pod may be in any number of pools.
constexpr std::size_t kMaxSources = 32;
// What an engine's refusal may take in status.
constexpr std::size_t kMaxProblem = 256;

std::string bounded(std::string text) {
  if (text.size() <= kMaxProblem) return text;
  std::size_t end = kMaxProblem;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
  text.resize(end);
  return text + " ...";
}

engine::LoadSource source_of(const api::InferencePool& pool, std::int32_t port) {
  return {port, pool.engine.metrics_path, engine::metrics_of(pool.engine)};
}

// Where and what the pool's engine says of its load, but for what is there already. At most one more than may
// be.
void add_sources(const api::InferencePool& pool, const std::vector<std::int32_t>& active,
                 std::vector<engine::LoadSource>& out) {
  const auto add = [&](engine::LoadSource source) {
    if (out.size() > kMaxSources) return;
    if (std::find(out.begin(), out.end(), source) == out.end()) out.push_back(std::move(source));
  };
  const auto ports = api::ports_in_use(pool.target_ports, active);
  if (pool.engine.server_load) {
    for (const api::EndpointPort& port : ports) add(engine::server_load_of(port.number));
  }
  if (pool.engine.metrics_port) return add(source_of(pool, *pool.engine.metrics_port));
  for (const api::EndpointPort& port : ports) add(source_of(pool, port.number));
}

bool asks_all(const api::InferencePool& pool, const std::vector<std::int32_t>& active,
              const std::vector<engine::LoadSource>& sources) {
  const auto ports = api::ports_in_use(pool.target_ports, active);
  return std::all_of(ports.begin(), ports.end(), [&](const api::EndpointPort& port) {
    return std::any_of(sources.begin(), sources.end(),
                       [&](const engine::LoadSource& source) { return source.port == port.number; });
  });
}

}  // namespace

std::optional<kube::TimePoint> EngineLoads::request(const pool::WantedReading& wanted,
                                                    const api::InferencePool& pool,
                                                    const std::vector<const api::InferencePool*>& others,
                                                    kube::TimePoint now) {
  const kube::Duration poll = wanted.withdrawn ? kube::Duration(wanted.poll) : kChoicePoll;
  if (!tracker_.request(wanted.uid, wanted.withdrawn, poll, now, wanted.settle))
    return tracker_.due(wanted.uid);
  engine::LoadRequest request;
  request.ip = wanted.ip;
  request.ns = pool.ns;
  add_sources(pool, wanted.active_ports, request.sources);
  for (const api::InferencePool* other : others) add_sources(*other, wanted.active_ports, request.sources);
  if (request.sources.size() > kMaxSources) {
    tracker_.began(wanted.uid, now);
    tracker_.took(wanted.uid, std::nullopt,
                  fmt::format("the pools that select it name more than {} ports to ask", kMaxSources), now);
    return tracker_.due(wanted.uid);
  }
  const bool all = asks_all(pool, wanted.active_ports, request.sources) &&
                   std::all_of(others.begin(), others.end(), [&](const api::InferencePool* other) {
                     return asks_all(*other, wanted.active_ports, request.sources);
                   });
  scheduler_.enqueue({wanted.uid, {pool.ns, pool.name}, std::move(request), all},
                     tracker_.last_read_failed(wanted.uid));
  return now + kStillWanted;
}

void EngineLoads::read(kube::TimePoint now, Effects& out) {
  for (LoadRead& read :
       scheduler_.take([&](const std::string& uid) { return tracker_.is_wanted(uid, now); })) {
    tracker_.began(read.pod_uid, now);
    out.load_reads.push_back(std::move(read));
  }
}

void EngineLoads::arrived(LoadArrived load, kube::TimePoint now) {
  scheduler_.finished(load.pod_uid);
  tracker_.took(load.pod_uid, load.load, bounded(std::move(load.problem)), now, load.refused);
}

}  // namespace poolwarden::control

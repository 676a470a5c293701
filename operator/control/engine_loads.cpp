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

// How the engines of a pool are reached: what is not in their metrics.
struct Access {
  base::Shared<api::EngineTls> tls;
  base::Shared<engine::ApiKey> key;
};

// A pool with https is asked in TLS whatever else it says: what is missing is the reader's to refuse.
base::Shared<api::EngineTls> tls_of(const api::EngineSpec& engine) {
  if (engine.scheme == api::EngineScheme::kHttp) return {};
  return engine.tls ? engine.tls : base::Shared(api::EngineTls{});
}

engine::LoadSource source_of(const api::InferencePool& pool, std::int32_t port) {
  return {.port = port, .path = pool.engine.metrics_path, .metrics = engine::metrics_of(pool.engine)};
}

// Where and what the pool's engine says of its load, but for what is there already. At most one more than may
// be.
void add_sources(const api::InferencePool& pool, const std::vector<std::int32_t>& active,
                 const Access& access, std::vector<engine::LoadSource>& out) {
  const auto add = [&](engine::LoadSource source) {
    if (out.size() > kMaxSources) return;
    source.tls = access.tls;
    source.api_key = access.key;
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

// What is put together for one reading.
struct EngineLoads::Asked {
  const std::vector<std::int32_t>& active_ports;
  std::vector<engine::LoadSource> sources = {};
  std::string problem = {};  // why there is no key, for a person
};

// `asks`: the pool that is to look again when the key is there.
EngineLoads::Keys EngineLoads::add_pool(const api::InferencePool& pool, const kube::ObjectKey& asks,
                                        kube::TimePoint now, Asked& out) {
  Access access{tls_of(pool.engine), {}};
  if (const auto& wanted = pool.engine.api_key_secret) {
    EngineKeys::Known known = keys_.want({pool.ns, wanted->name}, wanted->key, asks, now);
    out.problem = std::move(known.problem);
    if (!known.key) return out.problem.empty() ? Keys::kAwaited : Keys::kUnknown;
    access.key = std::move(known.key);
  }
  add_sources(pool, out.active_ports, access, out.sources);
  return Keys::kKnown;
}

std::optional<kube::TimePoint> EngineLoads::request(const pool::WantedReading& wanted,
                                                    const api::InferencePool& pool,
                                                    const std::vector<const api::InferencePool*>& others,
                                                    kube::TimePoint now) {
  const kube::Duration poll = wanted.withdrawn ? kube::Duration(wanted.poll) : kChoicePoll;
  if (!tracker_.request(wanted.uid, wanted.withdrawn, poll, now, wanted.settle))
    return tracker_.due(wanted.uid);
  const kube::ObjectKey asks{pool.ns, pool.name};
  Asked asked{wanted.active_ports};
  std::vector<const api::InferencePool*> pools{&pool};
  pools.insert(pools.end(), others.begin(), others.end());
  for (const api::InferencePool* one : pools) {
    const Keys keys = add_pool(*one, asks, now, asked);
    if (keys == Keys::kAwaited) return now + kStillWanted;
    if (keys == Keys::kUnknown) return give_up(wanted.uid, std::move(asked.problem), now);
  }
  if (asked.sources.size() > kMaxSources) {
    return give_up(wanted.uid,
                   fmt::format("the pools that select it name more than {} ports to ask", kMaxSources), now);
  }
  const bool all_ports = std::all_of(pools.begin(), pools.end(), [&](const api::InferencePool* one) {
    return asks_all(*one, wanted.active_ports, asked.sources);
  });
  engine::LoadRequest request;
  request.ip = wanted.ip;
  request.ns = pool.ns;
  request.sources = std::move(asked.sources);
  scheduler_.enqueue({wanted.uid, asks, std::move(request), all_ports},
                     tracker_.last_read_failed(wanted.uid));
  return now + kStillWanted;
}

// As if it had been read in vain.
std::optional<kube::TimePoint> EngineLoads::give_up(const std::string& uid, std::string why,
                                                    kube::TimePoint now) {
  tracker_.began(uid, now);
  tracker_.took(uid, std::nullopt, bounded(std::move(why)), now);
  return tracker_.due(uid);
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
  if (load.refused_key != 0) keys_.refused(load.refused_key, now);
  tracker_.took(load.pod_uid, load.load, bounded(std::move(load.problem)), now, load.refused);
}

void EngineLoads::sweep(kube::TimePoint now) {
  tracker_.sweep(now);
  keys_.sweep(now);
}

}  // namespace poolwarden::control

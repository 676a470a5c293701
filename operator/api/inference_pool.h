// inferencepools.poolwarden.io/v1alpha1 as a value, and what is wrong with one that slipped past the schema.
#pragma once

#include "api/endpoint_set.h"
#include "api/meta.h"
#include "base/shared.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::api {

struct ScaleTargetRef {
  std::string api_version;
  std::string kind;
  std::string name;

  bool operator==(const ScaleTargetRef&) const = default;
};

// Who writes the EndpointSlices of the pool's Service: Kubernetes by the Service's selector, or the operator.
// A word that is neither is taken for the first, and told.
enum class SliceMode : std::uint8_t { kSelector, kDirect, kMisspelt };

struct PublishSpec {
  std::string config_map_name;  // never empty after decoding: "<pool>-endpoints"
  std::string service_name;     // never empty after decoding: "<pool>"
  bool create_service = true;
  // With fewer than so many of a hundred endpoints ready, the others stay on the list. 0: they never do.
  std::int32_t panic_threshold = 0;
  SliceMode slices = SliceMode::kSelector;

  bool operator==(const PublishSpec&) const = default;
};

// Whose metrics say how many requests a replica has in flight. kCustom: EngineSpec names them.
enum class EngineType { kVllm, kSglang, kTrtllm, kLlamaCpp, kCustom };

enum class EngineScheme : std::uint8_t { kHttp, kHttps };

// How an engine proves who it is. Exactly one of the bundle and the flag is to be given.
struct EngineTls {
  static constexpr std::size_t kMaxCaBundle = 16u << 10;

  std::string ca_bundle;    // PEM certificates in base64, as webhooks have it; empty: none
  std::string server_name;  // for whom the certificate must be; empty: the pod's IP address
  bool insecure_skip_verify = false;

  bool operator==(const EngineTls&) const = default;
};

// One value of a Secret in the pool's own namespace.
struct SecretKeyRef {
  std::string name;
  std::string key;

  bool operator==(const SecretKeyRef&) const = default;
};

// Disaggregated serving: one engine computes the prompt, and another the answer.
enum class EngineRole : std::uint8_t { kWhole, kPrefill, kDecode };

struct EngineSpec {
  EngineType type = EngineType::kVllm;
  EngineRole role = EngineRole::kWhole;
  std::optional<std::int32_t> metrics_port;  // absent: every target port
  std::string metrics_path = "/metrics";
  // As metric_selector.h reads them.
  std::vector<std::string> in_flight_metrics;  // kCustom only: their sum is what is in flight
  std::string cache_usage_metric;              // kCustom only; may be empty
  bool server_load = false;                    // kVllm only: what its HTTP server has taken in counts, too
  EngineScheme scheme = EngineScheme::kHttp;
  base::Shared<EngineTls> tls;  // shared, as the bundle may be long and each reading needs it
  std::optional<SecretKeyRef> api_key_secret;

  bool operator==(const EngineSpec&) const = default;
};

// What becomes of a pod that still has something in flight when its time is up.
enum class OnTimeout : std::uint8_t { kRelease, kKeep };

struct DrainSpec {
  std::chrono::seconds timeout{300};
  std::int32_t quiet_reads = 2;  // readings of zero in a row before a pod counts as idle
  std::chrono::seconds poll{1};
  std::chrono::seconds settle{1};  // until whoever sends requests has acted on the list
  bool settle_is_set = false;      // else consumers that confirm are all that is waited for
  OnTimeout on_timeout = OnTimeout::kRelease;

  bool operator==(const DrainSpec&) const = default;
};

// What becomes of the only pod that serves, on a node that is being emptied, if no other comes.
enum class OnlyReplica : std::uint8_t { kWait, kDrain };

// Which pod of several goes: the one with the least to do, or the one whose going empties a node.
enum class Prefer : std::uint8_t { kIdle, kEmptyNode };

struct DisruptionSpec {
  bool hold_evictions = true;
  bool replace_first = false;  // a pod on a cordoned node drains only once another is ready in its place
  OnlyReplica only_replica = OnlyReplica::kWait;
  Prefer prefer = Prefer::kIdle;

  bool operator==(const DisruptionSpec&) const = default;
};

struct EndpointStatus {
  std::string pod;
  std::string ip;
  std::string state;   // "ready", "draining", "drained", "finishing" or "withdrawn"
  std::string reason;  // empty while ready
  Timestamp since{};
  std::optional<std::int32_t> in_flight = {};  // while it drains or finishes; nothing: unknown
  std::optional<Timestamp> deadline = {};      // when it is released at the latest
  std::string message = {};                    // what a person should know besides

  bool operator==(const EndpointStatus&) const = default;
};

// A consumer of the list, as its Lease tells.
struct ConsumerStatus {
  std::string name;
  std::string kind;
  std::int64_t revision = 0;  // what it holds of the shard with which it is the furthest behind
  std::int64_t behind = 0;    // and how far that is from the shard's own
  bool live = false;
  std::optional<Timestamp> applied_at = {};  // by its own clock

  bool operator==(const ConsumerStatus&) const = default;
};

// A count of replicas, and the UID of the target with which the pool agreed on it.
struct Agreement {
  std::int32_t replicas = 0;
  std::string target;

  bool operator==(const Agreement&) const = default;
};

struct PoolStatus {
  std::int64_t observed_generation = 0;
  std::int32_t replicas = 0;
  std::int32_t ready_replicas = 0;
  std::int32_t serving_replicas = 0;
  std::int32_t draining_replicas = 0;
  std::optional<std::int32_t> synced_replicas;
  std::string synced_target;        // UID of the target that agreed to them; empty: not known
  std::int32_t surge_replicas = 0;  // how many more it may have meanwhile, so that replacements come first
  std::string selector;
  std::int64_t endpoints_revision = 0;
  // Of pods that are not plainly ready, at most kMaxStatusEndpoints; and how many more there are.
  std::vector<EndpointStatus> endpoints;
  std::int32_t endpoints_omitted = 0;
  std::vector<ConsumerStatus> consumers;  // the slowest first, at most kMaxStatusConsumers
  std::int32_t consumer_count = 0;        // of all of them
  std::vector<Condition> conditions;

  bool operator==(const PoolStatus&) const = default;
};

// Names, as on the wire, of the fields in which they differ.
std::vector<std::string> differing_fields(const PoolStatus& a, const PoolStatus& b);

inline constexpr std::size_t kMaxStatusEndpoints = 100;
inline constexpr std::size_t kMaxStatusConsumers = 10;

struct InferencePool : Identity {
  std::int64_t generation = 0;
  bool deleting = false;

  std::optional<std::int32_t> replicas;
  std::optional<ScaleTargetRef> scale_target;
  std::optional<LabelSelector> selector;
  std::vector<EndpointPort> target_ports;
  PublishSpec publish;
  DrainSpec drain;
  DisruptionSpec disruption;
  EngineSpec engine;

  PoolStatus status;
};

// The name a port has in the pool's Service: its own, else "http", or "port-8000" where there are several.
std::string published_port_name(const InferencePool& pool, const EndpointPort& port);

// Of the pool's ports those that are among `active`, as a pod says which it serves on; all of them if none
// is.
std::vector<EndpointPort> ports_in_use(const std::vector<EndpointPort>& ports,
                                       const std::vector<std::int32_t>& active);

// What a person must fix in the spec, naming the field; empty when it is usable. The CRD's schema and CEL
// rules refuse the same things with the same words, but an older CRD may be installed.
std::vector<std::string> problems(const InferencePool& pool);

}  // namespace poolwarden::api

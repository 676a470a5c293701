// What a call to the API server was for, so that its answer can be understood.
#pragma once

#include "api/inference_pool.h"
#include "api/writes.h"
#include "control/write_throttle.h"
#include "kube/client.h"
#include "kube/object_key.h"
#include "kube/time.h"
#include "pool/plan.h"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace poolwarden::control {

struct PublishWrite {
  pool::PublishEndpoints what;
  std::vector<kube::TimePoint> began;  // of each of its changes: when the stopwatch was started
  bool for_leader = false;             // by a replica that does not lead: see standby.h
};
struct ScaleTargetWrite {
  api::ScaleWrite what;
  std::optional<pool::EventNote> event;
};
struct AdoptReplicasWrite {
  api::AdoptWrite what;
  std::optional<pool::EventNote> event;
};
struct ServiceWrite {
  std::optional<pool::EventNote> event;
  bool leads_on = false;  // as below
};
struct EndpointSliceWrite {
  std::string name;
  // As WriteThrottle has it; nothing for one that is deleted, or that only withdraws.
  std::optional<std::size_t> content;
  bool leads_on = false;  // once it is answered, there is more to do
};
struct PodLabelWrite {
  api::PodLabelWrite what;
  std::optional<pool::DrainNote> note;
};
struct BudgetWrite {};
struct StatusWrite {
  api::PoolStatus what;
  api::PoolStatus before;
};
struct ConfigMapLookup {};
struct EventWrite {
  std::uint64_t id = 0;
};
// Of a Secret with the key of an engine.
struct SecretRead {
  kube::ObjectKey secret;
};
struct LeaseCall {
  std::uint64_t attempt = 0;
};
using Purpose =
    std::variant<PublishWrite, ScaleTargetWrite, AdoptReplicasWrite, ServiceWrite, EndpointSliceWrite,
                 PodLabelWrite, BudgetWrite, StatusWrite, ConfigMapLookup, EventWrite, SecretRead, LeaseCall>;

// For which pool: a namesake that came later is another one.
struct PoolName {
  kube::ObjectKey key;
  std::string uid;
};

// A call that is under way.
struct PendingCall {
  Purpose purpose;
  WrittenObject object;  // meaningless for Events, Secrets and the Lease
  PoolName pool;
  kube::Verb verb = kube::Verb::kGet;
  kube::TimePoint sent_at{};
};

}  // namespace poolwarden::control

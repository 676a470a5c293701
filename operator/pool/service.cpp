#include "pool/service.h"

#include "api/names.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

enum class Ownership : std::uint8_t { kOurs, kNobodys, kAnotherPools };

bool carries(const api::LabelMap& labels, const api::LabelMap& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& label) {
    const auto found = labels.find(label.first);
    return found != labels.end() && found->second == label.second;
  });
}

bool is_labelled_ours(const api::InferencePool& pool, const api::Service& service) {
  return carries(service.labels, {{std::string{api::kPoolLabel}, pool.name},
                                  {std::string{api::kManagedByLabel}, std::string{api::kManagedByValue}}});
}

Ownership ownership(const api::InferencePool& pool, const api::Service& service) {
  for (const api::OwnerReference& owner : service.owners) {
    if (owner.uid == pool.uid) return Ownership::kOurs;
    if (owner.kind == api::kPoolKind) return Ownership::kAnotherPools;
  }
  // As of the list: it was orphaned, or restored without its owner.
  if (service.owners.empty() && is_labelled_ours(pool, service)) return Ownership::kOurs;
  // Two pools that label one Service would undo each other's labels for ever: the first one keeps it.
  const auto label = service.labels.find(api::kPoolLabel);
  if (label != service.labels.end() && label->second != pool.name) return Ownership::kAnotherPools;
  return Ownership::kNobodys;
}

std::string_view health(std::int32_t endpoints, std::int32_t active) {
  if (endpoints == 0) return "empty";
  return endpoints >= active ? "healthy" : "degraded";
}

api::LabelMap wanted_labels(const Observation& seen) {
  api::LabelMap out;
  out.emplace(api::kPoolLabel, seen.pool().name);
  out.emplace(api::kReadyEndpointsLabel, std::to_string(seen.endpoints()));
  out.emplace(api::kHealthLabel, health(seen.endpoints(), seen.active()));
  return out;
}

api::LabelMap wanted_selector(const api::LabelSelector& selector) {
  api::LabelMap out = selector.match_labels;
  out.insert_or_assign(std::string{api::kServingLabel}, std::string{api::serving::kTrue});
  return out;
}

std::vector<api::ServicePort> wanted_ports(const api::InferencePool& pool) {
  std::vector<api::ServicePort> out;
  for (const api::EndpointPort& port : pool.target_ports) {
    out.push_back({.name = api::published_port_name(pool, port),
                   .number = port.number,
                   .target = std::to_string(port.number),
                   .protocol = "TCP"});
  }
  return out;
}

// A Service with an address puts variables of its name into every container that starts in its namespace
// (https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables), and some engines
// take what one of their own name makes for a setting: vLLM does not start with VLLM_PORT=tcp://..., nor
// SGLang with SGLANG_PORT.
bool would_set_an_engines_port(std::string_view name) {
  return name == "vllm" || name == "sglang";
}

// Kubernetes copies a Service's labels to all of its EndpointSlices, so each change of one costs more than it
// seems.
bool only_count_differs(const api::LabelMap& labels, api::LabelMap wanted) {
  wanted.erase(std::string{api::kReadyEndpointsLabel});
  return labels.contains(api::kReadyEndpointsLabel) && carries(labels, wanted);
}

void label_only(const Observation& seen, const api::Service& service, Plan& plan) {
  api::LabelMap labels = wanted_labels(seen);
  if (carries(service.labels, labels)) return;
  const bool only_count = only_count_differs(service.labels, labels);
  plan.service = api::ServiceWrite{.create = false,
                                   .headless = false,
                                   .adopt = false,
                                   .only_count = only_count,
                                   .resource_version = service.resource_version,
                                   .labels = std::move(labels),
                                   .selector = {},
                                   .stale_selector_keys = {},
                                   .ports = {}};
}

void create_service(const Observation& seen, Plan& plan) {
  api::ServiceWrite write;
  write.create = true;
  write.headless = would_set_an_engines_port(seen.pool().publish.service_name);
  write.labels = wanted_labels(seen);
  write.labels.emplace(api::kManagedByLabel, api::kManagedByValue);
  write.selector = wanted_selector(*seen.selector);
  write.ports = wanted_ports(seen.pool());
  plan.service = std::move(write);
}

void keep_ours(const Observation& seen, const api::Service& service, Plan& plan) {
  api::ServiceWrite write;
  write.resource_version = service.resource_version;
  write.adopt = service.owners.empty();
  write.labels = wanted_labels(seen);
  write.labels.emplace(api::kManagedByLabel, api::kManagedByValue);
  auto selector = wanted_selector(*seen.selector);
  auto ports = wanted_ports(seen.pool());
  if (service.selector != selector) {
    for (const auto& [key, value] : service.selector) {
      if (!selector.contains(key)) write.stale_selector_keys.push_back(key);
    }
    write.selector = std::move(selector);
  }
  if (service.ports != ports) write.ports = std::move(ports);

  const bool points_elsewhere = !write.selector.empty() || !write.ports.empty();
  if (!points_elsewhere && !write.adopt && carries(service.labels, write.labels)) return;
  write.only_count = !points_elsewhere && !write.adopt && only_count_differs(service.labels, write.labels);
  // With the pool unchanged since the last pass, it was the Service that someone changed.
  if (points_elsewhere && seen.pool().generation == seen.pool().status.observed_generation) {
    plan.service_event =
        EventNote{.reason = std::string{api::event::kOverwriteUndone},
                  .warning = true,
                  .message = fmt::format(
                      "Service {}: its selector or ports were changed by someone else; put back. Change "
                      "spec.targetPorts or spec.selector of the pool instead",
                      service.name)};
  }
  plan.service = std::move(write);
}

}  // namespace

std::string keep_service(const Observation& seen, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  const api::InferencePool& pool = seen.pool();
  const std::string& name = pool.publish.service_name;
  const bool expressible = seen.selector != nullptr && seen.selector->match_expressions.empty();
  if (seen.hold != Hold::kNone) return {};
  const api::Service* service = snapshot.service;
  if (service == nullptr) {
    if (!pool.publish.create_service || snapshot.service_visibility == Visibility::kUnknown) return {};
    if (!expressible) return fmt::format("no Service {}: a Service cannot express matchExpressions", name);
    create_service(seen, plan);
    return {};
  }
  if (service->deleting) return {};
  switch (ownership(pool, *service)) {
    case Ownership::kAnotherPools:
      return fmt::format("Service {} is another pool's and is left alone; set spec.publish.service.name",
                         name);
    case Ownership::kNobodys:
      label_only(seen, *service, plan);
      return fmt::format("Service {} is not ours: it is only labelled, never pointed at the pool", name);
    case Ownership::kOurs:
      break;
  }
  if (!expressible || !pool.publish.create_service) {
    label_only(seen, *service, plan);
    if (expressible) return {};
    return fmt::format("Service {} keeps its selector: a Service cannot express matchExpressions", name);
  }
  keep_ours(seen, *service, plan);
  return {};
}

}  // namespace poolwarden::pool

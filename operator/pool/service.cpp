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
  api::ServiceWrite write;
  write.only_count = only_count_differs(service.labels, labels);
  write.resource_version = service.resource_version;
  write.labels = std::move(labels);
  plan.service = std::move(write);
}

bool is_expressible(const Observation& seen) {
  return seen.selector && seen.selector->match_expressions.empty();
}

bool asks_for_direct(const Observation& seen) {
  return seen.pool().publish.slices == api::SliceMode::kDirect;
}

bool is_marked_direct(const api::Service& service) {
  return service.labels.contains(api::kSkipMirrorLabel);
}

// Kubernetes' slices of a Service with this label can be seen, and it mirrors none of its old Endpoints. So
// the label comes before the selector goes, and goes after ours have gone.
bool wants_mark(const Observation& seen, const SlicesFound& slices) {
  return slices.any_ours || (asks_for_direct(seen) && seen.snapshot->slice_sight == SliceSight::kSeen);
}

void create_service(const Observation& seen, const SlicesFound& slices, Plan& plan) {
  api::ServiceWrite write;
  write.create = true;
  write.headless = would_set_an_engines_port(seen.pool().publish.service_name);
  write.labels = wanted_labels(seen);
  write.labels.emplace(api::kManagedByLabel, api::kManagedByValue);
  if (wants_mark(seen, slices)) write.labels.emplace(api::kSkipMirrorLabel, "true");
  // With one where it can have one: should its slices be refused, it serves all the same.
  if (is_expressible(seen)) write.selector = wanted_selector(*seen.selector);
  write.ports = wanted_ports(seen.pool());
  plan.service = std::move(write);
}

// What is to become of its selector.
enum class SelectorStep : std::uint8_t { kStays, kIsPut, kGoes };

SelectorStep selector_step(const Observation& seen, const api::Service& service, const SlicesFound& slices) {
  const bool expressible = is_expressible(seen);
  const SelectorStep as_ever = expressible ? SelectorStep::kIsPut : SelectorStep::kStays;
  if (!asks_for_direct(seen) || seen.snapshot->slice_sight == SliceSight::kRefused) return as_ever;
  if (service.selector.empty()) return SelectorStep::kStays;
  // Where Kubernetes' slices have all that ours have, it has seen the label: see wants_mark().
  const bool may_go = seen.snapshot->slice_sight == SliceSight::kSeen && slices.ours_stand &&
                      (slices.theirs_stand || (!expressible && slices.theirs_seen));
  return may_go ? SelectorStep::kGoes : as_ever;
}

void put_selector(const Observation& seen, const api::Service& service, api::ServiceWrite& write) {
  auto selector = wanted_selector(*seen.selector);
  if (service.selector == selector) return;
  for (const auto& [key, value] : service.selector) {
    if (!selector.contains(key)) write.stale_selector_keys.push_back(key);
  }
  write.selector = std::move(selector);
}

void keep_ours(const Observation& seen, const api::Service& service, const SlicesFound& slices, Plan& plan) {
  api::ServiceWrite write;
  write.resource_version = service.resource_version;
  write.adopt = service.owners.empty();
  write.labels = wanted_labels(seen);
  write.labels.emplace(api::kManagedByLabel, api::kManagedByValue);
  if (wants_mark(seen, slices)) write.labels.emplace(api::kSkipMirrorLabel, "true");
  write.unmark = is_marked_direct(service) && !wants_mark(seen, slices) && !service.selector.empty() &&
                 seen.snapshot->slice_sight == SliceSight::kSeen;
  const SelectorStep step = selector_step(seen, service, slices);
  write.drop_selector = step == SelectorStep::kGoes;
  if (step == SelectorStep::kIsPut) put_selector(seen, service, write);
  auto ports = wanted_ports(seen.pool());
  if (service.ports != ports) write.ports = std::move(ports);

  const bool points_elsewhere = !write.selector.empty() || !write.ports.empty();
  const bool switches = write.drop_selector || write.unmark;
  if (!points_elsewhere && !switches && !write.adopt && carries(service.labels, write.labels)) return;
  write.only_count =
      !points_elsewhere && !switches && !write.adopt && only_count_differs(service.labels, write.labels);
  // With the pool unchanged since the last pass, it was the Service that someone changed. The selector comes
  // back some passes after the pool has changed.
  const bool comes_back = write.ports.empty() && service.selector.empty() && is_marked_direct(service);
  if (points_elsewhere && !comes_back && seen.pool().generation == seen.pool().status.observed_generation) {
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

// Of a Service that is kept: what is on its way, or stands in the way.
std::string note_on(const Observation& seen, const api::Service& service, const SlicesFound& slices) {
  const std::string& name = service.name;
  const bool selects = !service.selector.empty();
  const bool direct = asks_for_direct(seen) && seen.snapshot->slice_sight != SliceSight::kRefused;
  if (slices.mirrored && !selects)
    return fmt::format(
        "Service {} still has EndpointSlices that are made from its old Endpoints, with pods "
        "that may be gone: kubectl delete endpoints {}",
        name, name);
  if (direct && selects)
    return fmt::format("Service {} keeps its selector until its EndpointSlices from the operator stand",
                       name);
  if (!direct && slices.any_ours && is_expressible(seen))
    return fmt::format(
        "Service {} keeps its EndpointSlices from the operator until those from Kubernetes "
        "have all ready endpoints",
        name);
  if (direct || is_expressible(seen)) return {};
  if (!slices.any_ours)
    return fmt::format("Service {} keeps its selector: a Service cannot express matchExpressions", name);
  return fmt::format(
      "Service {} keeps its EndpointSlices from the operator: a selector cannot express "
      "matchExpressions, so set spec.publish.service.endpointSlices to Direct",
      name);
}

}  // namespace

bool is_ours(const api::InferencePool& pool, const api::Service& service) {
  return ownership(pool, service) == Ownership::kOurs;
}

bool points_at_pool(const Observation& seen, const api::Service& service) {
  return is_expressible(seen) && service.selector == wanted_selector(*seen.selector);
}

std::string keep_service(const Observation& seen, const SlicesFound& slices, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  const api::InferencePool& pool = seen.pool();
  const std::string& name = pool.publish.service_name;
  if (seen.hold != Hold::kNone) return {};
  const api::Service* service = snapshot.service;
  if (service == nullptr) {
    if (!pool.publish.create_service || snapshot.service_visibility == Visibility::kUnknown) return {};
    const bool direct = asks_for_direct(seen) && snapshot.slice_sight == SliceSight::kSeen;
    if (!is_expressible(seen) && !direct)
      return fmt::format("no Service {}: a Service cannot express matchExpressions", name);
    create_service(seen, slices, plan);
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
  if (!pool.publish.create_service || (!is_expressible(seen) && !asks_for_direct(seen))) {
    label_only(seen, *service, plan);
    return pool.publish.create_service ? note_on(seen, *service, slices) : std::string();
  }
  keep_ours(seen, *service, slices, plan);
  return note_on(seen, *service, slices);
}

}  // namespace poolwarden::pool

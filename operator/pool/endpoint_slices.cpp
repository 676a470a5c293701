#include "pool/endpoint_slices.h"

#include "api/names.h"
#include "pool/drain.h"
#include "pool/service.h"
#include "pool/withdrawal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

using Action = api::EndpointSliceWrite::Action;

constexpr std::string_view kMirroringManager = "endpointslicemirroring-controller.k8s.io";

struct Family {
  std::string_view type;  // spec.addressType
  std::string_view word;  // in the names of its slices
};
constexpr std::array kFamilies{Family{"IPv4", "ipv4"}, Family{"IPv6", "ipv6"}};

std::size_t family_of(std::string_view ip) {
  return ip.find(':') == std::string_view::npos ? 0 : 1;
}

std::string slice_name(std::string_view service, const Family& family, int number) {
  return fmt::format("{}-poolwarden-{}-{}", service, family.word, number);
}

// Nothing: no slice of the Service and that family is called so.
std::optional<int> number_of(const api::EndpointSlice& slice, std::string_view service,
                             const Family& family) {
  const std::size_t dash = slice.name.rfind('-');
  if (dash == std::string::npos || slice.address_type != family.type) return std::nullopt;
  int number = 0;
  const char* end = slice.name.data() + slice.name.size();
  const auto read = std::from_chars(slice.name.data() + dash + 1, end, number);
  if (read.ec != std::errc{} || number < 1 || slice.name != slice_name(service, family, number))
    return std::nullopt;
  return number;
}

// What readers make of a pod. False: it is no endpoint at all, not even one that is not ready.
// https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
bool put_conditions(const PodVerdict& verdict, bool going, api::SliceEndpoint& out) {
  const api::Pod* pod = verdict.pod;
  const bool ended = pod == nullptr || pod->phase == api::PodPhase::kFailed ||
                     pod->phase == api::PodPhase::kSucceeded || pod->ip.empty();
  if (ended || verdict.reason == Withdrawal::kDeleted || verdict.reason == Withdrawal::kRelabelled)
    return false;
  const bool ends =
      verdict.reason == Withdrawal::kTerminating || verdict.reason == Withdrawal::kDisruptionTarget;
  out.ready = verdict.reason == Withdrawal::kNone;
  out.serving =
      out.ready || verdict.reason == Withdrawal::kDraining || (ends && pod->ready == api::Tristate::kTrue);
  out.terminating = !out.ready && (ends || going || verdict.reason == Withdrawal::kDraining);
  return true;
}

std::vector<api::SliceEndpoint> wanted_endpoints(const Observation& seen) {
  std::vector<api::SliceEndpoint> out;
  out.reserve(seen.members.size());
  for (const PodVerdict& member : seen.members) {
    const api::Pod& pod = *member.pod;
    api::SliceEndpoint endpoint{.address = pod.ip,
                                .pod = pod.name,
                                .uid = pod.uid,
                                .node = *pod.node,
                                .zone = member.node == nullptr ? std::string() : member.node->zone};
    if (put_conditions(member, drains(member.drain), endpoint)) out.push_back(std::move(endpoint));
  }
  return out;
}

using Slices = std::vector<const api::EndpointSlice*>;

// The slices of a pool, by whose they are.
struct Sorted {
  std::array<std::map<int, const api::EndpointSlice*>, kFamilies.size()> ours;  // of the Service, by number
  Slices misplaced;                                                             // ours, and of no use
  Slices theirs;                                                                // Kubernetes', of the Service
  bool mirrored = false;

  bool any_ours() const { return !ours[0].empty() || !ours[1].empty() || !misplaced.empty(); }
};

Sorted sort_slices(const Observation& seen) {
  Sorted out;
  const std::string& service = seen.pool().publish.service_name;
  for (const api::EndpointSlice* slice : seen.snapshot->slices) {
    if (is_ours(seen.pool(), *slice)) {
      bool placed = false;
      for (std::size_t i = 0; i < kFamilies.size() && !placed; ++i) {
        const auto number = number_of(*slice, service, kFamilies[i]);
        if (number) placed = out.ours[i].emplace(*number, slice).second;
      }
      if (!placed) out.misplaced.push_back(slice);
    } else if (slice->service == service && slice->manager == api::kKubernetesSliceManager) {
      out.theirs.push_back(slice);
    } else if (slice->service == service && slice->manager == kMirroringManager) {
      out.mirrored = true;
    }
  }
  return out;
}

// Owned by the Service, as Kubernetes' own are: they go with it, and it goes with the pool.
api::EndpointSlice empty_slice(const Observation& seen, const api::Service& service, const Family& family,
                               int number) {
  api::EndpointSlice out;
  out.ns = seen.pool().ns;
  out.name = slice_name(service.name, family, number);
  out.service = service.name;
  out.manager = api::kOurSliceManager;
  out.pool = seen.pool().name;
  out.address_type = family.type;
  out.skips_mirror = true;
  out.owners = {
      {.api_version = "v1", .kind = "Service", .name = service.name, .uid = service.uid, .controller = true}};
  for (const api::EndpointPort& port : seen.pool().target_ports)
    out.ports.push_back(
        {.name = api::published_port_name(seen.pool(), port), .number = port.number, .protocol = "TCP"});
  return out;
}

// Who is in a slice stays there; who is new goes to the first with room.
std::map<int, std::vector<api::SliceEndpoint>> lay_out(
    const std::map<int, const api::EndpointSlice*>& there,
    const std::vector<const api::SliceEndpoint*>& endpoints) {
  std::unordered_map<std::string_view, const api::SliceEndpoint*> unplaced;
  for (const api::SliceEndpoint* endpoint : endpoints) unplaced.emplace(endpoint->uid, endpoint);
  std::map<int, std::vector<api::SliceEndpoint>> out;
  for (const auto& [number, slice] : there) {
    for (const api::SliceEndpoint& before : slice->endpoints) {
      const auto found = unplaced.find(before.uid);
      if (found == unplaced.end() || out[number].size() == kSliceEndpoints) continue;
      out[number].push_back(*found->second);
      unplaced.erase(found);
    }
  }
  int number = 1;
  for (const api::SliceEndpoint* endpoint : endpoints) {
    if (unplaced.erase(endpoint->uid) == 0) continue;
    while (out[number].size() >= kSliceEndpoints) ++number;
    out[number].push_back(*endpoint);
  }
  std::erase_if(out, [](const auto& item) { return item.second.empty(); });
  return out;
}

bool says_the_same(const api::EndpointSlice& a, const api::EndpointSlice& b) {
  return a.service == b.service && a.skips_mirror == b.skips_mirror && a.owners == b.owners &&
         a.ports == b.ports && a.endpoints == b.endpoints;
}

struct Writes {
  std::vector<api::EndpointSliceWrite> wanted;  // without which our slices do not stand
  Slices emptied;
};

Writes writes_for(const Observation& seen, const api::Service& service, const Sorted& there) {
  Writes out;
  const std::vector<api::SliceEndpoint> endpoints = wanted_endpoints(seen);
  for (std::size_t i = 0; i < kFamilies.size(); ++i) {
    std::vector<const api::SliceEndpoint*> of_family;
    for (const api::SliceEndpoint& endpoint : endpoints)
      if (family_of(endpoint.address) == i) of_family.push_back(&endpoint);
    auto wanted = lay_out(there.ours[i], of_family);
    for (const auto& [number, slice] : there.ours[i])
      if (!wanted.contains(number)) out.emptied.push_back(slice);
    for (auto& [number, placed] : wanted) {
      const auto found = there.ours[i].find(number);
      api::EndpointSliceWrite write{.action = Action::kCreate,
                                    .slice = empty_slice(seen, service, kFamilies[i], number)};
      write.slice.endpoints = std::move(placed);
      if (found != there.ours[i].end()) {
        if (says_the_same(*found->second, write.slice)) continue;
        write.action = Action::kReplace;
        write.slice.uid = found->second->uid;
        write.slice.resource_version = found->second->resource_version;
      }
      out.wanted.push_back(std::move(write));
    }
  }
  return out;
}

// Whether Kubernetes' slices can take over, or have been seen since the Service was marked: its controller
// has at least one for each Service that has a selector. A ready pod whose label is yet to be written is not
// in them, and one that another's label once put there may be so only for a moment longer.
bool do_theirs_stand(const Observation& seen, const Slices& theirs) {
  if (theirs.empty()) return false;
  std::unordered_set<std::string_view> ready;
  for (const api::EndpointSlice* slice : theirs)
    for (const api::SliceEndpoint& endpoint : slice->endpoints)
      if (endpoint.ready) ready.insert(endpoint.uid);
  return std::all_of(seen.members.begin(), seen.members.end(), [&](const PodVerdict& member) {
    const api::Pod& pod = *member.pod;
    // Of a pod that it takes to be unready Kubernetes makes no ready endpoint, whatever we know better.
    if (member.reason != Withdrawal::kNone || pod.ready != api::Tristate::kTrue) return true;
    return pod.serving == api::serving::kTrue && seen.snapshot->is_written(pod) && ready.contains(pod.uid);
  });
}

void remove(const Slices& slices, Plan& plan) {
  for (const api::EndpointSlice* slice : slices) {
    if (!slice->deleting) plan.slices.push_back({.action = Action::kDelete, .slice = *slice});
  }
}

void remove_ours(const Sorted& there, Plan& plan) {
  remove(there.misplaced, plan);
  for (const auto& family : there.ours)
    for (const auto& item : family) remove({item.second}, plan);
}

// On hold nobody joins; who is seen to be unfit is no longer ready.
void withdraw_unfit(const Observation& seen, Plan& plan) {
  if (!seen.is_undecided()) return;
  for (const api::EndpointSlice* slice : seen.snapshot->slices) {
    if (!is_ours(seen.pool(), *slice)) continue;
    const bool panics = seen.pool().publish.panic_threshold > 0;
    auto write = withdraw_from(*slice, [&seen, panics](const api::SliceEndpoint& endpoint) {
      const api::Pod* pod = seen.pod(endpoint.pod);
      const bool unknown = pod == nullptr || pod->uid != endpoint.uid;
      PodVerdict verdict = judge_endpoint(unknown ? nullptr : pod, nullptr, seen.snapshot->node);
      if (seen.snapshot->unseen_nodes) trust_its_kubelet(verdict);
      if (verdict.reason == Withdrawal::kNone && drains(drain_state(*pod)))
        verdict.reason = Withdrawal::kDraining;
      // On hold nobody knows how many others are ready: as the list has it.
      const bool kept = panics && seen.snapshot->is_listed(endpoint.uid);
      return kept && verdict.reason == Withdrawal::kNotReady ? PodVerdict{} : verdict;
    });
    if (write) plan.slices.push_back(*std::move(write));
  }
}

// Where ours cannot be made as they should be, whoever goes is no longer ready in them all the same.
void withdraw_members(const Observation& seen, Plan& plan) {
  for (const api::EndpointSlice* slice : seen.snapshot->slices) {
    if (!is_ours(seen.pool(), *slice)) continue;
    auto write = withdraw_from(*slice, [&seen](const api::SliceEndpoint& endpoint) {
      PodVerdict verdict;
      verdict.reason = Withdrawal::kDeleted;
      if (const PodVerdict* member = seen.member(endpoint.pod, endpoint.uid)) verdict = *member;
      return verdict;
    });
    if (write) plan.slices.push_back(*std::move(write));
  }
}

void remark(Observation& seen, std::string reason, std::string message) {
  seen.remarks.push_back(
      {.condition = api::condition::kDegraded, .reason = std::move(reason), .message = std::move(message)});
}

// After a restart they could not be told from none: the Service's mark stays as long as they may be there.
std::string slices_left(const Observation& seen) {
  const api::Service* service = seen.snapshot->service;
  if (service == nullptr || !service->labels.contains(api::kSkipMirrorLabel)) return {};
  return fmt::format(
      "; those that it has written stay and may go out of date: kubectl delete endpointslices -l "
      "{}={},{}={}",
      api::kPoolLabel, seen.pool().name, api::kSliceManagerLabel, api::kOurSliceManager);
}

// Why the pool does not get what it asks for.
void tell_obstacles(Observation& seen) {
  const Snapshot& snapshot = *seen.snapshot;
  const api::InferencePool& pool = seen.pool();
  if (pool.publish.slices == api::SliceMode::kMisspelt)
    remark(seen, "EndpointSlicesInvalid",
           "spec.publish.service.endpointSlices is neither Selector nor Direct, and taken for Selector: set "
           "it to one of these");
  if (pool.publish.slices != api::SliceMode::kDirect) return;
  if (snapshot.slice_sight == SliceSight::kRefused)
    remark(seen, "EndpointSlicesForbidden",
           "spec.publish.service.endpointSlices is Direct, but EndpointSlices cannot be read, so the Service "
           "keeps its selector: grant the operator list, watch, create, update and delete on "
           "endpointslices.discovery.k8s.io, or set it to Selector" +
               slices_left(seen));
  if (!pool.publish.create_service)
    remark(seen, "EndpointSlicesNotDirect",
           "spec.publish.service.endpointSlices is Direct, but spec.publish.service.create is false: set "
           "create to true, or endpointSlices to Selector");
  if (pool.publish.create_service && snapshot.service != nullptr && !is_ours(pool, *snapshot.service))
    remark(seen, "EndpointSlicesNotDirect",
           fmt::format("spec.publish.service.endpointSlices is Direct, but Service {} is not the pool's, and "
                       "its EndpointSlices are left alone: name a free one in spec.publish.service.name",
                       pool.publish.service_name));
}

}  // namespace

bool is_ours(const api::InferencePool& pool, const api::EndpointSlice& slice) {
  return slice.manager == api::kOurSliceManager && slice.pool == pool.name;
}

std::optional<api::EndpointSliceWrite> withdraw_from(const api::EndpointSlice& slice,
                                                     const JudgeSliceEndpoint& judge) {
  api::EndpointSliceWrite out{.action = Action::kReplace, .slice = slice};
  out.slice.endpoints.clear();
  bool same = true;
  for (const api::SliceEndpoint& before : slice.endpoints) {
    const PodVerdict verdict = before.ready ? judge(before) : PodVerdict{};
    api::SliceEndpoint after = before;
    if (verdict.reason == Withdrawal::kNone || put_conditions(verdict, false, after))
      out.slice.endpoints.push_back(std::move(after));
    same = same && verdict.reason == Withdrawal::kNone;
  }
  return same ? std::nullopt : std::optional{std::move(out)};
}

SlicesFound keep_slices(Observation& seen, Plan& plan) {
  const Snapshot& snapshot = *seen.snapshot;
  const api::Service* service = snapshot.service;
  if (seen.hold != Hold::kNone) {
    if (snapshot.slice_sight == SliceSight::kSeen) withdraw_unfit(seen, plan);
    return {};
  }
  tell_obstacles(seen);
  // A Service that is not there is made, or comes back: until then its slices are the garbage collector's.
  if (snapshot.slice_sight != SliceSight::kSeen || service == nullptr || service->deleting) {
    withdraw_members(seen, plan);
    return {};
  }
  const Sorted there = sort_slices(seen);
  SlicesFound found{
      .any_ours = there.any_ours(), .theirs_seen = !there.theirs.empty(), .mirrored = there.mirrored};
  if (!is_ours(seen.pool(), *service)) {
    remove_ours(there, plan);
    return found;
  }
  const bool selects = !service->selector.empty();
  const bool direct =
      seen.pool().publish.slices == api::SliceMode::kDirect && seen.pool().publish.create_service;
  if (!direct && !found.any_ours) return found;
  Writes writes = writes_for(seen, *service, there);
  found.ours_stand = writes.wanted.empty();
  found.theirs_stand = do_theirs_stand(seen, there.theirs);
  plan.slices_switch = !direct || selects || !there.theirs.empty();
  if (!direct && selects && found.theirs_stand && points_at_pool(seen, *service)) {
    remove_ours(there, plan);
    return found;
  }
  // First, as one of them may have a name that is wanted.
  remove(there.misplaced, plan);
  for (api::EndpointSliceWrite& write : writes.wanted) plan.slices.push_back(std::move(write));
  remove(writes.emptied, plan);
  // Kubernetes leaves its slices of a Service that has no selector as they are.
  if (direct && !selects && found.ours_stand) remove(there.theirs, plan);
  return found;
}

}  // namespace poolwarden::pool

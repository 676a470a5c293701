#include "support/cluster/kubelet.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/launch.h"
#include "support/cluster/overloaded.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>
#include <unordered_set>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::text_at;
using nlohmann::json;

constexpr std::uint32_t kHostsPerRange = 254;
constexpr std::uint32_t kRanges = 200;  // 127.0.<node>.x, 127.1.<node>.x, ...
constexpr std::string_view kHostIp = "127.0.0.1";

bool is_finished(const json& pod) {
  const std::string phase = text_at(pod, {"status", "phase"});
  return phase == "Succeeded" || phase == "Failed";
}

const json* container_of(const json& pod, std::string_view name) {
  const json* list = find_path(pod, {"spec", "containers"});
  if (list == nullptr || !list->is_array()) return nullptr;
  const auto it = std::find_if(list->begin(), list->end(),
                               [name](const json& each) { return text_at(each, {"name"}) == name; });
  return it == list->end() ? nullptr : &*it;
}

}  // namespace

std::string AddressPool::allocate(const std::string& node) {
  const auto [it, is_new] = ranges_.try_emplace(node);
  if (is_new) it->second.node = static_cast<int>(ranges_.size());
  Range& range = it->second;
  for (std::uint32_t tries = 0; tries < kHostsPerRange * kRanges; ++tries) {
    const std::uint32_t index = range.next++ % (kHostsPerRange * kRanges);
    std::string address =
        fmt::format("127.{}.{}.{}", index / kHostsPerRange, range.node % 256, 1 + index % kHostsPerRange);
    if (used_.insert(address).second) return address;
  }
  return {};
}

void Kubelet::set_node_down(const std::string& node, bool down) {
  if (down) {
    down_.insert(node);
    return;
  }
  down_.erase(node);
  for (auto& [uid, entry] : entries_) entry.dirty = entry.dirty || entry.node == node;
}

void Kubelet::queue(const Entry& entry, PodEffects effects) {
  for (PodEffect& effect : effects) {
    Work work{std::move(effect), std::nullopt, {}};
    if (const auto* start = std::get_if<StartContainer>(&work.effect); start != nullptr) {
      const json* container = container_of(entry.pod->body(), start->ref.container);
      auto launch = container != nullptr ? launch_spec(entry.pod->body(), *container, entry.machine.ip())
                                         : tl::unexpected(std::string("the pod has no such container"));
      if (launch) {
        work.launch = std::move(*launch);
      } else {
        work.refusal = launch.error();
      }
    }
    work_.push_back(std::move(work));
  }
}

void Kubelet::add(const ObjectPtr& pod, Timestamp now) {
  const json& body = pod->body();
  const std::string node = text_at(body, {"spec", "nodeName"});
  const std::string ip = addresses_.allocate(node);
  if (ip.empty()) return;
  const auto [it, is_new] = entries_.try_emplace(text_at(body, {"metadata", "uid"}),
                                                 Entry{PodMachine(body, ip, timing_, now), pod, node, true});
  queue(it->second, it->second.machine.observe(body, now));
}

// Meets every pod anew: those to run, those that changed, and those that are gone.
void Kubelet::observe(Model& model, Timestamp now) {
  std::unordered_set<std::string> seen;
  for (const ObjectPtr& pod : model.list(kube::kPods)) {
    const json& body = pod->body();
    std::string uid = text_at(body, {"metadata", "uid"});
    const auto known = entries_.find(uid);
    if (known != entries_.end()) {
      Entry& entry = known->second;
      if (entry.pod->revision() != pod->revision() && !down_.contains(entry.node)) {
        entry.pod = pod;
        entry.dirty = true;
        queue(entry, entry.machine.observe(body, now));
      }
    } else if (!text_at(body, {"spec", "nodeName"}).empty() && !is_finished(body)) {
      if (!down_.contains(text_at(body, {"spec", "nodeName"}))) add(pod, now);
    } else if (is_deleting(body)) {
      // Never ran, or ran to its end: nothing to stop.
      Writer(model, now, "system:nodes").remove(kube::kPods, body, 0);
    }
    seen.insert(std::move(uid));
  }
  for (auto& [uid, entry] : entries_) {
    if (!seen.contains(uid) && !down_.contains(entry.node)) queue(entry, entry.machine.gone(now));
  }
}

void Kubelet::take_events(Timestamp now) {
  std::vector<RuntimeEvent> events = std::move(refused_);
  refused_.clear();
  for (RuntimeEvent& event : runtime_.take_events(now)) events.push_back(std::move(event));
  for (const RuntimeEvent& event : events) {
    const auto found = entries_.find(std::visit([](const auto& each) { return each.ref.uid; }, event));
    if (found == entries_.end()) continue;
    Entry& entry = found->second;
    const std::uint64_t before = entry.machine.version();
    queue(entry, entry.machine.on(event, now));
    entry.dirty = entry.dirty || entry.machine.version() != before;
  }
}

void Kubelet::tick(Timestamp now) {
  for (auto& [uid, entry] : entries_) {
    const auto due = entry.machine.next_deadline();
    if (!due || *due > now || down_.contains(entry.node)) continue;
    const std::uint64_t before = entry.machine.version();
    queue(entry, entry.machine.tick(now));
    entry.dirty = entry.dirty || entry.machine.version() != before;
  }
}

bool Kubelet::write_status(Model& model, Entry& entry, Timestamp now) {
  const json& body = entry.pod->body();
  const json* found = find_path(body, {"status"});
  const json current = found != nullptr ? *found : json::object();
  const json status = entry.machine.status(current, std::string(kHostIp), now);
  json merged = current;
  merged.update(status);
  if (merged == current) return true;
  return Writer(model, now, "system:node:" + entry.node)
      .patch(kube::kPods, body, {{"status", status}}, "status");
}

// Status first, then the end: a watcher sees the containers terminated before the object goes.
void Kubelet::report(Model& model, Timestamp now) {
  std::vector<std::string> finished;
  for (auto& [uid, entry] : entries_) {
    if (!entry.dirty || down_.contains(entry.node)) continue;
    entry.dirty = false;
    // Another pod may have its name by now, as in a StatefulSet.
    const ObjectPtr named = model.find(kube::kPods, text_at(entry.pod->body(), {"metadata", "namespace"}),
                                       text_at(entry.pod->body(), {"metadata", "name"}));
    const bool there = named && text_at(named->body(), {"metadata", "uid"}) == uid;
    if (there) write_status(model, entry, now);
    if (!entry.machine.is_over()) continue;
    if (there && entry.machine.is_deleted()) {
      Writer(model, now, "system:node:" + entry.node).remove(kube::kPods, entry.pod->body(), 0);
    }
    finished.push_back(uid);
  }
  for (const std::string& uid : finished) {
    const auto found = entries_.find(uid);
    addresses_.release(found->second.machine.ip());
    entries_.erase(found);
  }
}

void Kubelet::step(Model& model, Timestamp now) {
  observe(model, now);
  take_events(now);
  tick(now);
  report(model, now);
}

void Kubelet::carry_out(Timestamp now) {
  std::vector<Work> work = std::move(work_);
  work_.clear();
  for (Work& each : work) {
    std::visit(
        Overloaded{[&](const StartContainer& start) {
                     if (each.launch) {
                       runtime_.start(start.ref, *each.launch, now);
                     } else {
                       refused_.push_back(
                           runtime_event::StartFailed{start.ref, "CreateContainerConfigError", each.refusal});
                     }
                   },
                   [&](const SignalContainer& signal) { runtime_.signal(signal.ref, signal.signal, now); },
                   [&](const RunProbe& probe) { runtime_.probe(probe.ref, probe.role, probe.spec, now); },
                   [&](const RunHook& hook) { runtime_.run_hook(hook.ref, hook.command, now); }},
        each.effect);
  }
}

std::optional<Timestamp> Kubelet::next_deadline() const {
  if (!refused_.empty()) return Timestamp{};
  std::optional<Timestamp> next = runtime_.next_event();
  for (const auto& [uid, entry] : entries_) {
    if (down_.contains(entry.node)) continue;
    const auto due = entry.machine.next_deadline();
    if (due && (!next || *due < *next)) next = due;
  }
  return next;
}

}  // namespace poolwarden::cluster

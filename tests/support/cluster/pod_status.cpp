// The part of PodMachine that says what a pod's status is.
// https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
#include "support/apiserver/json_util.h"
#include "support/cluster/pod_machine.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::text_at;
using nlohmann::json;

json terminated_state(const container::Terminated& exit) {
  return {{"terminated",
           {{"exitCode", exit.exit_code},
            {"reason", exit.reason},
            {"startedAt", exit.since ? json(api::to_rfc3339(*exit.since)) : json(nullptr)},
            {"finishedAt", api::to_rfc3339(exit.at)}}}};
}

json state_json(const ContainerMachine& machine) {
  if (const auto* exit = std::get_if<container::Terminated>(&machine.state())) return terminated_state(*exit);
  if (const auto since = machine.up_since()) return {{"running", {{"startedAt", api::to_rfc3339(*since)}}}};
  json waiting = {{"reason", "ContainerCreating"}};
  if (const auto* why = std::get_if<container::Waiting>(&machine.state())) {
    waiting["reason"] = why->reason;
    if (!why->message.empty()) waiting["message"] = why->message;
  }
  return {{"waiting", waiting}};
}

const json* find_condition(const json& status, std::string_view type) {
  const json* list = apiserver::find_path(status, {"conditions"});
  if (list == nullptr || !list->is_array()) return nullptr;
  const auto it = std::find_if(list->begin(), list->end(),
                               [type](const json& each) { return text_at(each, {"type"}) == type; });
  return it == list->end() ? nullptr : &*it;
}

struct PodVerdict {
  bool value = true;
  std::string reason;
  std::string message;
};

json make_condition(const json& status, std::string_view type, const PodVerdict& verdict, Timestamp now) {
  const std::string value = verdict.value ? "True" : "False";
  const json* old = find_condition(status, type);
  const bool same = old != nullptr && text_at(*old, {"status"}) == value;
  json made = {{"type", type},
               {"status", value},
               {"lastTransitionTime", same ? text_at(*old, {"lastTransitionTime"}) : api::to_rfc3339(now)}};
  if (!verdict.reason.empty()) made["reason"] = verdict.reason;
  if (!verdict.message.empty()) made["message"] = verdict.message;
  return made;
}

constexpr std::string_view kOwnConditions[] = {"PodScheduled", "Initialized", "ContainersReady", "Ready"};

bool is_own(std::string_view type) {
  return std::find(std::begin(kOwnConditions), std::end(kOwnConditions), type) != std::end(kOwnConditions);
}

}  // namespace

std::string PodMachine::phase() const {
  const auto exit_of = [](const Container& each) {
    return std::get_if<container::Terminated>(&each.machine.state());
  };
  if (!containers_.empty() && is_over()) {
    const bool good = std::all_of(containers_.begin(), containers_.end(),
                                  [&](const Container& each) { return exit_of(each)->exit_code == 0; });
    return good ? "Succeeded" : "Failed";
  }
  const bool begun = std::all_of(containers_.begin(), containers_.end(), [&](const Container& each) {
    return each.machine.is_up() || each.machine.restarts() > 0 || exit_of(each) != nullptr;
  });
  return begun ? "Running" : "Pending";
}

json PodMachine::container_status(const Container& target) const {
  const auto& last = target.machine.last_exit();
  return {{"name", target.name},
          {"image", target.image},
          {"imageID", ""},
          {"containerID",
           target.run == 0 ? "" : fmt::format("process://{}/{}/{}", uid_, target.name, target.run)},
          {"ready", is_ready(target)},
          {"started", is_started(target)},
          {"restartCount", target.machine.restarts()},
          {"state", state_json(target.machine)},
          {"lastState", last ? terminated_state(*last) : json::object()}};
}

json PodMachine::conditions(const json& current, Timestamp now) const {
  PodVerdict containers;
  std::string unready;
  for (const Container& each : containers_) {
    if (!is_ready(each)) unready += (unready.empty() ? "" : " ") + each.name;
  }
  if (!unready.empty()) {
    const std::string ended = phase();
    const bool over = ended == "Succeeded" || ended == "Failed";
    containers =
        over ? PodVerdict{false, ended == "Succeeded" ? "PodCompleted" : "PodFailed", {}}
             : PodVerdict{false, "ContainersNotReady", "containers with unready status: [" + unready + "]"};
  }
  PodVerdict ready = containers;
  for (const std::string& gate : readiness_gates_) {
    const json* found = find_condition(current, gate);
    if (!ready.value || (found != nullptr && text_at(*found, {"status"}) == "True")) continue;
    ready = {false, "ReadinessGatesNotReady",
             found == nullptr
                 ? fmt::format("corresponding condition of pod readiness gate \"{}\" does not exist.", gate)
                 : fmt::format("the status of pod readiness gate \"{}\" is not \"True\"", gate)};
  }
  json list = json::array({make_condition(current, "Initialized", {}, now),
                           make_condition(current, "Ready", ready, now),
                           make_condition(current, "ContainersReady", containers, now),
                           make_condition(current, "PodScheduled", {}, now)});
  if (const json* others = apiserver::find_path(current, {"conditions"});
      others != nullptr && others->is_array()) {
    for (const json& each : *others) {
      if (!is_own(text_at(each, {"type"}))) list.push_back(each);
    }
  }
  return list;
}

json PodMachine::status(const json& current, const std::string& host_ip, Timestamp now) const {
  json statuses = json::array();
  for (const Container& each : containers_) statuses.push_back(container_status(each));
  return {{"phase", phase()},
          {"conditions", conditions(current, now)},
          {"containerStatuses", std::move(statuses)},
          {"podIP", ip_},
          {"podIPs", json::array({{{"ip", ip_}}})},
          {"hostIP", host_ip},
          {"hostIPs", json::array({{{"ip", host_ip}}})},
          {"startTime", api::to_rfc3339(started_)}};
}

}  // namespace poolwarden::cluster

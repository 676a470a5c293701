#include "gateway/gateway_report.h"

#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {

void GatewayReport::tell(const effect::Acknowledged& done) {
  const auto say = [&](const std::string& what) {
    const telemetry::Field pool{"pool", names_.pool};
    const telemetry::Field pod{"pod", done.pod};
    const telemetry::Field address{"address", done.command.address.to_string()};
    const telemetry::Field server{"server", done.command.server};
    if (done.latency) {
      log_.info(what, {pool, pod, address, server, {"latency_seconds", *done.latency}});
    } else {
      log_.info(what, {pool, pod, address, server});
    }
  };
  switch (done.command.kind) {
    case CommandKind::kWithdraw:
      if (done.latency) metrics_.withdrawn(*done.latency);
      say(fmt::format("withdrawn from {}", names_.gateway));
      break;
    case CommandKind::kAdmit:
      if (done.latency) metrics_.admitted(*done.latency);
      say(fmt::format("admitted to {}", names_.gateway));
      break;
    case CommandKind::kPark:
      log_.info("drained, server is free",
                {{"pool", names_.pool}, {"pod", done.pod}, {"server", done.command.server}});
      break;
    case CommandKind::kReaddress:
      break;  // half of an admission
    case CommandKind::kWeigh:
      log_.info("the weight of a server is that of its zone now",
                {{"pool", names_.pool}, {"pod", done.pod}, {"told", done.command.text}});
      break;
    case CommandKind::kRewrite:
      log_.info(fmt::format("{} was told once more what it has", names_.gateway), {{"pool", names_.pool}});
      break;
  }
}

void GatewayReport::tell(const effect::Settled& settled) {
  metrics_.settled(settled.revision, settled.ready, settled.draining, settled.places,
                   settled.unplaced.size());
  last_gateway_problem_.clear();
  if (settled.latency) {
    log_.info(fmt::format("{} has the list", names_.gateway), {{"pool", names_.pool},
                                                               {"revision", settled.revision},
                                                               {"ready", settled.ready},
                                                               {"draining", settled.draining},
                                                               {"latency_seconds", *settled.latency}});
  }
  if (settled.unplaced.size() != last_unplaced_ && !settled.unplaced.empty()) {
    const std::string why =
        settled.why_unplaced.empty()
            ? "has no server left for some endpoints: raise the number in the backend's server-template"
            : "has not taken some endpoints: " + settled.why_unplaced;
    log_.error(fmt::format("{} {}", names_.gateway, why), {{"servers", settled.places},
                                                           {"draining", settled.draining},
                                                           {"unplaced", settled.unplaced.size()},
                                                           {"first_pod", settled.unplaced.front()}});
  }
  last_unplaced_ = settled.unplaced.size();
}

void GatewayReport::tell(const effect::GatewayFound& found) {
  metrics_.gateway_found();
  if (found.restarted_from) {
    metrics_.gateway_restarted();
    log_.warn(fmt::format("{} was restarted or reloaded; giving it the list", names_.gateway),
              {{"process", found.process.id},
               {"previous", *found.restarted_from},
               {"version", found.process.version}});
  } else if (found.process.id.empty()) {  // not every gateway is asked
    log_.info(fmt::format("{} can be given the list", names_.gateway), {{"at", names_.where}});
  } else {
    log_.info(fmt::format("{} answers", names_.gateway),
              {{"at", names_.where}, {"process", found.process.id}, {"version", found.process.version}});
  }
}

void GatewayReport::tell(const effect::GatewayFailed& failed) {
  metrics_.gateway_failed();
  if (std::exchange(last_gateway_problem_, failed.error.message) == failed.error.message) return;
  log_.error(
      fmt::format("{} cannot be given the list; it will be tried again", names_.gateway),
      {{"problem", failed.error.message}, {"failures", failed.failures}, {"retry_seconds", failed.delay}});
}

void GatewayReport::tell(const effect::ListProblems& list) {
  metrics_.set_refused(list.problems.size());
  const std::string first = list.problems.empty() ? std::string() : list.problems.front();
  if (std::exchange(last_list_problem_, first) == first) return;
  if (first.empty()) return log_.info("all of the published list can be used again");
  log_.warn(fmt::format("part of the published list cannot be given to {}", names_.gateway),
            {{"problem", first}, {"problems", list.problems.size()}});
}

void GatewayReport::complaint(const std::optional<std::string>& problem) {
  metrics_.set_complaint(problem.has_value());
  const std::string now = problem.value_or(std::string{});
  if (std::exchange(last_complaint_, now) == now) return;
  if (now.empty()) return log_.info(fmt::format("nothing of {} is to be mended any more", names_.gateway));
  log_.error(fmt::format("{} is held to the list, and something is to be mended", names_.gateway),
             {{"problem", now}});
}

void GatewayReport::list_gone(std::string_view config_map) {
  log_.warn(fmt::format("the ConfigMap is gone; {} keeps the last list", names_.gateway),
            {{"namespace", names_.ns}, {"config_map", config_map}});
}

void GatewayReport::list_unreadable(std::string_view problem) {
  metrics_.list_unreadable();
  log_.error(fmt::format("the published list cannot be used; {} keeps the last one", names_.gateway),
             {{"problem", problem}});
}

void GatewayReport::list_has_several(std::size_t config_maps) {
  log_.info("the list has several ConfigMaps",
            {{"config_map", names_.config_map}, {"config_maps", config_maps}});
}

void GatewayReport::list_absent() {
  if (told_absence_) return;
  told_absence_ = true;
  log_.warn("there is no such ConfigMap yet: is the pool's name right, and does the operator run?",
            {{"namespace", names_.ns}, {"config_map", names_.config_map}});
}

void GatewayReport::missing(std::vector<std::string> config_maps) {
  if (config_maps == told_missing_) return;
  told_missing_ = std::move(config_maps);
  if (told_missing_.empty()) return;
  log_.warn(
      fmt::format("the list has ConfigMaps that are not there or cannot be read; {} keeps what it has "
                  "of them",
                  names_.gateway),
      {{"namespace", names_.ns}, {"config_map", told_missing_.front()}, {"missing", told_missing_.size()}});
}

void GatewayReport::fallen(const std::map<std::string, pool::Withdrawal>& pods) {
  metrics_.set_fallen(pods.size());
  for (const auto& [uid, reason] : pods) {
    if (!told_fallen_.contains(uid))
      log_.info("a pod of the list is sent nothing more, by its own event",
                {{"uid", uid}, {"reason", to_string(reason)}});
  }
  for (const auto& [uid, reason] : told_fallen_) {
    if (!pods.contains(uid)) log_.info("the list counts again for a pod", {{"uid", uid}});
  }
  told_fallen_ = pods;
}

void GatewayReport::not_confirmed(std::string_view problem) {
  log_.warn(
      "the operator cannot be told which list the gateway holds: drains wait spec.drain.settleSeconds "
      "instead",
      {{"problem", problem}});
}

void GatewayReport::api_server(const std::optional<kube::Error>& error) {
  const std::string problem = error ? error->message : std::string{};
  if (std::exchange(last_api_problem_, problem) == problem) return;
  if (problem.empty()) {
    log_.info("the API server answers again");
  } else {
    log_.warn(fmt::format("the API server cannot be read; {} is held to the last list", names_.gateway),
              {{"problem", problem}});
  }
}

void GatewayReport::pods_watch(const std::optional<kube::Error>& error) {
  const std::string problem = error ? error->message : std::string{};
  if (std::exchange(last_pods_problem_, problem) == problem) return;
  if (problem.empty()) {
    log_.info("pods are watched again");
  } else {
    log_.warn(
        "pods cannot be watched: a withdrawal waits for the list until they can (the Role of "
        "examples/gateway has the right)",
        {{"problem", problem}});
  }
}

}  // namespace poolwarden::gateway

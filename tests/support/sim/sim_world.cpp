#include "support/sim/sim_world.h"

#include "support/cluster/drain_gate.h"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <utility>

#include <nlohmann/json.hpp>

namespace poolwarden::sim {
namespace {

using nlohmann::json;

// How soon a controller sees a change: its own watch's way.
constexpr kube::Duration kControllerLatency = std::chrono::milliseconds(2);

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

apiserver::ModelOptions model_options(std::uint64_t seed) {
  apiserver::ModelOptions options;
  options.seed = seed;
  return options;
}

}  // namespace

SimWorld::SimWorld(WorldOptions options)
    : options_(std::move(options)), model_(model_options(options_.seed)), runtime_(options_.behaviour) {
  static const std::string definition = read_file(POOLWARDEN_CRD);
  const auto loaded = model_.load(definition, time_.now().wall);
  if (!loaded) throw std::runtime_error("the CRD was refused: " + loaded.error());
  for (const char* ns : {"default", "poolwarden-system"}) {
    if (model_.find({"", "v1", "namespaces", "Namespace", false}, "", ns)) continue;
    request(kube::HttpMethod::kPost, "/api/v1/namespaces",
            {{"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", ns}}}});
  }
  model_.set_admission(cluster::drain_gate(model_));
  if (options_.gate) install_gate();
  if (options_.controllers)
    cluster::create_nodes(model_, options_.nodes, {"zone-a", "zone-b"}, time_.now().wall);
  model_.set_listener([this](std::string_view plural) { listen(plural); });
}

void SimWorld::install_gate() {
  static const std::string manifest = read_file(POOLWARDEN_GATE);
  const auto loaded = model_.load(manifest, time_.now().wall);
  if (!loaded) throw std::runtime_error("the gate was refused: " + loaded.error());
}

SimOperator& SimWorld::add_operator(SimOperator::Options options) {
  operators_.push_back(std::make_unique<SimOperator>(time_, model_, std::move(options)));
  return *operators_.back();
}

// The listener must not look at the model, so what changed is looked at right afterwards.
void SimWorld::listen(std::string_view plural) {
  changed_.emplace(plural);
  if (std::exchange(digest_due_, true)) return;
  time_.after({}, [this] { digest(); });
}

void SimWorld::digest() {
  digest_due_ = false;
  const auto changed = std::exchange(changed_, {});
  if (options_.invariants) {
    for (const std::string& plural : changed) invariants_.changed(plural, time_.now().wall);
  }
  for (const auto& watcher : watchers_) watcher(changed);
  for (const auto& each : operators_) each->model_changed();
  if (!options_.controllers && !options_.replica_sets) return;
  controllers_stale_ = true;
  schedule_controllers(kControllerLatency);
}

void SimWorld::schedule_controllers(kube::Duration delay) {
  const kube::TimePoint due = time_.now().mono + delay;
  if (due >= controllers_due_) return;
  controllers_due_ = due;
  time_.at(due, [this, due] {
    if (controllers_due_ != due) return;
    controllers_due_ = kube::TimePoint::max();
    step_controllers();
  });
}

void SimWorld::step_controllers() {
  const auto wall = time_.now().wall;
  const bool changed = std::exchange(controllers_stale_, false);
  const auto due = [wall](const std::optional<api::Timestamp>& deadline) {
    return deadline && *deadline <= wall;
  };
  // Most of the time it is only a probe's turn, which concerns nobody but the kubelet.
  const bool whole = options_.controllers;
  if (whole && (changed || due(deployments_.next_deadline()))) deployments_.step(model_, wall);
  if (changed || due(replica_sets_.next_deadline())) replica_sets_.step(model_, wall);
  if (changed || due(stateful_sets_.next_deadline())) stateful_sets_.step(model_, wall);
  if (whole) {
    if (changed) scheduler_.step(model_, wall);
    kubelet_.step(model_, wall);
    kubelet_.carry_out(wall);
  }
  for (const auto& next : {deployments_.next_deadline(), replica_sets_.next_deadline(),
                           stateful_sets_.next_deadline(), kubelet_.next_deadline()}) {
    if (next) schedule_controllers(std::max<kube::Duration>(*next - wall, kControllerLatency));
  }
}

json SimWorld::request(kube::HttpMethod method, const std::string& target, const json& body,
                       const std::string& content_type) {
  kube::HttpRequest request;
  request.method = method;
  request.target = target;
  if (!body.is_null()) {
    request.body = body.dump();
    request.content_type = content_type;
  }
  const auto response = model_.handle(request, time_.now().wall, {"person", "kubectl"});
  if (response.status >= 300) throw std::runtime_error(target + ": " + response.body);
  return json::parse(response.body);
}

json SimWorld::merge_patch(const std::string& target, const json& body) {
  return request(kube::HttpMethod::kPatch, target, body, "application/merge-patch+json");
}

json SimWorld::find(const kube::ResourceType& type, const std::string& ns, const std::string& name) const {
  const auto object = model_.find(type, ns, name);
  return object ? object->body() : json();
}

void SimWorld::settle(kube::Duration limit) {
  const kube::TimePoint end = time_.now().mono + limit;
  // At rest: nothing was written for longer than a probe's default period and any debounce of the operator.
  std::uint64_t seen = changes();
  while (time_.now().mono < end) {
    time_.run_for(std::chrono::seconds(15));
    if (std::exchange(seen, changes()) == seen) return;
  }
}

}  // namespace poolwarden::sim

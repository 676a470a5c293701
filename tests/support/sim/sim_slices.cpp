#include "support/sim/sim_slices.h"

#include "api/names.h"
#include "kube/resource.h"

#include <algorithm>

#include <fmt/format.h>

namespace poolwarden::sim {
namespace {

using nlohmann::json;

constexpr const char* kSlicesPath = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
constexpr const char* kServicesPath = "/api/v1/namespaces/default/services";

const json& labels_of(const json& object) {
  static const json kNone = json::object();
  const json& metadata = object.at("metadata");
  return metadata.contains("labels") ? metadata.at("labels") : kNone;
}

bool is_ready(const json& pod) {
  const json conditions = pod.value("/status/conditions"_json_pointer, json::array());
  const bool ready = std::any_of(conditions.begin(), conditions.end(), [](const json& one) {
    return one.value("type", "") == "Ready" && one.value("status", "") == "True";
  });
  return ready && !pod.at("metadata").contains("deletionTimestamp");
}

bool selects(const json& selector, const json& pod) {
  const json& labels = labels_of(pod);
  const auto items = selector.items();
  return std::all_of(items.begin(), items.end(), [&labels](const auto& item) {
    return labels.contains(item.key()) && labels.at(item.key()) == item.value();
  });
}

json slice_of(const json& service, const apiserver::Model& model) {
  const std::string name = service.at("metadata").at("name");
  json labels = labels_of(service);
  labels[std::string(api::kServiceNameLabel)] = name;
  labels[std::string(api::kSliceManagerLabel)] = api::kKubernetesSliceManager;
  json slice = {{"apiVersion", "discovery.k8s.io/v1"},
                {"kind", "EndpointSlice"},
                {"metadata", {{"name", name + "-kubernetes"}, {"labels", labels}}},
                {"addressType", "IPv4"},
                {"endpoints", json::array()}};
  for (const auto& pod : model.list(kube::kPods)) {
    const json& body = pod->body();
    const std::string ip = body.value("/status/podIP"_json_pointer, "");
    if (ip.empty() || !selects(service.at("spec").at("selector"), body)) continue;
    slice["endpoints"].push_back({{"addresses", {ip}},
                                  {"conditions", {{"ready", is_ready(body)}}},
                                  {"targetRef",
                                   {{"kind", "Pod"},
                                    {"name", body.at("metadata").at("name")},
                                    {"uid", body.at("metadata").at("uid")}}}});
  }
  return slice;
}

}  // namespace

std::set<std::string> ready_pods_in_slices(const apiserver::Model& model, const std::string& service) {
  std::set<std::string> out;
  for (const auto& slice : model.list(kube::kEndpointSlices)) {
    if (labels_of(slice->body()).value(std::string(api::kServiceNameLabel), "") != service) continue;
    for (const json& endpoint : slice->body().value("endpoints", json::array())) {
      if (endpoint.value("/conditions/ready"_json_pointer, true))
        out.insert(endpoint.value("/targetRef/name"_json_pointer, ""));
    }
  }
  return out;
}

SimSlices::SimSlices(SimWorld& world, kube::Duration lag) : world_(world), lag_(lag) {
  world_.add_watcher([this](const std::set<std::string>& changed) {
    if (changed.contains("endpointslices")) look();
    const bool concerns = changed.contains("services") || changed.contains("pods");
    if (!concerns || std::exchange(due_, true)) return;
    world_.time().after(lag_, [this] {
      due_ = false;
      sync();
    });
  });
}

void SimSlices::sync() {
  const json services = world_.request(kube::HttpMethod::kGet, kServicesPath, nullptr);
  for (const json& service : services.at("items")) sync(service);
}

void SimSlices::sync(const json& service) {
  const std::string name = service.at("metadata").at("name");
  if (!service.at("spec").value("selector", json::object()).empty()) {
    endpoints_[name] = slice_of(service, world_.model());
    return put(endpoints_[name]);
  }
  const auto old = endpoints_.find(name);
  if (old == endpoints_.end() || labels_of(old->second).contains(api::kSkipMirrorLabel)) return;
  json mirrored = old->second;
  mirrored["metadata"]["name"] = name + "-mirrored";
  mirrored["metadata"]["labels"][std::string(api::kSliceManagerLabel)] =
      "endpointslicemirroring-controller.k8s.io";
  put(mirrored);
}

void SimSlices::put(const json& slice) {
  const std::string name = slice.at("metadata").at("name");
  const json there = world_.find(kube::kEndpointSlices, "default", name);
  if (there.is_null()) {
    world_.request(kube::HttpMethod::kPost, kSlicesPath, slice);
  } else if (there.value("endpoints", json::array()) != slice.at("endpoints") ||
             labels_of(there) != labels_of(slice)) {
    world_.request(kube::HttpMethod::kPut, fmt::format("{}/{}", kSlicesPath, name), slice);
  }
}

void SimSlices::look() {
  std::map<std::string, const json*> serving;
  for (const auto& pod : world_.model().list(kube::kPods)) {
    const bool labelled = labels_of(pod->body()).value(std::string(api::kServingLabel), "") == "true";
    if (labelled && is_ready(pod->body()))
      serving.emplace(pod->body().at("metadata").at("name"), &pod->body());
  }
  for (const auto& service : world_.model().list(kube::kServices)) {
    const std::string name = service->body().at("metadata").at("name");
    std::set<std::string> now = ready_pods_in_slices(world_.model(), name);
    for (const std::string& pod : ready_[name]) {
      const auto found = serving.find(pod);
      if (now.contains(pod) || found == serving.end()) continue;
      const json annotations = found->second->value("/metadata/annotations"_json_pointer, json::object());
      if (!annotations.contains(api::kDrainRequestAnnotation))
        lost_.push_back(fmt::format("{} in the slices of {}", pod, name));
    }
    ready_[name] = std::move(now);
  }
}

}  // namespace poolwarden::sim

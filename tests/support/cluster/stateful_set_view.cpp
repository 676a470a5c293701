#include "support/cluster/stateful_set_view.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/deployment_sets.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::int_at;
using apiserver::text_at;
using nlohmann::json;

// A share of the replicas is rounded down, and less than one is one.
std::int64_t max_unavailable_of(const json& set, std::int64_t replicas) {
  const json* value = find_path(set, {"spec", "updateStrategy", "rollingUpdate", "maxUnavailable"});
  std::int64_t count = 1;
  if (value != nullptr && value->is_number_integer()) count = value->get<std::int64_t>();
  if (value != nullptr && value->is_string()) {
    const std::string& text = value->get_ref<const std::string&>();
    std::int64_t percent = 0;
    std::from_chars(text.data(), text.data() + text.size(), percent);
    count = replicas * percent / 100;
  }
  return std::max<std::int64_t>(count, 1);
}

}  // namespace

StatefulSetView::StatefulSetView(const json& set)
    : name(text_at(set, {"metadata", "name"})),
      start(int_at(set, {"spec", "ordinals", "start"})),
      replicas(int_at(set, {"spec", "replicas"}, 1)),
      partition(int_at(set, {"spec", "updateStrategy", "rollingUpdate", "partition"})),
      max_unavailable(max_unavailable_of(set, replicas)),
      min_ready_seconds(int_at(set, {"spec", "minReadySeconds"})),
      parallel(text_at(set, {"spec", "podManagementPolicy"}) == "Parallel"),
      on_delete(text_at(set, {"spec", "updateStrategy", "type"}) == "OnDelete") {}

std::string revision_name(const json& set) {
  return text_at(set, {"metadata", "name"}) + "-" + template_hash(set);
}

std::optional<std::int64_t> ordinal_of(std::string_view set, std::string_view pod) {
  if (pod.size() < set.size() + 2 || !pod.starts_with(set) || pod[set.size()] != '-') return std::nullopt;
  const std::string_view digits = pod.substr(set.size() + 1);
  std::int64_t ordinal = 0;
  const auto [rest, error] = std::from_chars(digits.data(), digits.data() + digits.size(), ordinal);
  if (error != std::errc{} || ordinal < 0 || std::to_string(ordinal) != digits) return std::nullopt;
  return ordinal;
}

json identity_labels(std::string_view set, std::int64_t ordinal) {
  return {{std::string(kPodIndexLabel), std::to_string(ordinal)},
          {std::string(kPodNameLabel), fmt::format("{}-{}", set, ordinal)}};
}

json pod_metadata(const json& set, std::int64_t ordinal, std::string_view revision, json metadata) {
  const std::string name = text_at(set, {"metadata", "name"});
  metadata["namespace"] = text_at(set, {"metadata", "namespace"});
  metadata["name"] = fmt::format("{}-{}", name, ordinal);
  metadata["labels"].update(identity_labels(name, ordinal));
  metadata["labels"][std::string(kRevisionLabel)] = revision;
  metadata["ownerReferences"] = json::array({controller_reference("apps/v1", "StatefulSet", set)});
  return metadata;
}

}  // namespace poolwarden::cluster

// What a StatefulSet asks for, and the names and labels of its pods. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::cluster {

inline constexpr std::string_view kRevisionLabel = "controller-revision-hash";
inline constexpr std::string_view kPodIndexLabel = "apps.kubernetes.io/pod-index";
inline constexpr std::string_view kPodNameLabel = "statefulset.kubernetes.io/pod-name";

struct StatefulSetView {
  explicit StatefulSetView(const nlohmann::json& set);

  std::int64_t end() const { return start + replicas; }
  // The first ordinal that a rolling update reaches: Kubernetes counts the partition from the start.
  std::int64_t first_updated() const { return start + partition; }

  std::string name;
  std::int64_t start = 0;
  std::int64_t replicas = 0;
  std::int64_t partition = 0;
  std::int64_t max_unavailable = 1;
  std::int64_t min_ready_seconds = 0;
  bool parallel = false;
  bool on_delete = false;
};

// As in status.updateRevision once the controller has seen the template.
std::string revision_name(const nlohmann::json& set);

// Nothing for a pod that is none of the set's, by its name.
std::optional<std::int64_t> ordinal_of(std::string_view set, std::string_view pod);

// What tells one pod of the set from the others: both labels of its identity.
nlohmann::json identity_labels(std::string_view set, std::int64_t ordinal);

// metadata of a pod of the set that says who it is: name, labels beside `labels`, and its controller.
nlohmann::json pod_metadata(const nlohmann::json& set, std::int64_t ordinal, std::string_view revision,
                            nlohmann::json metadata);

}  // namespace poolwarden::cluster

// What the JSON and the protobuf readers of a kind make of its texts, once for both. For the codecs only.
#pragma once

#include "api/objects.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::api {

// "sleep 30" as the last words of an exec hook's command, " sleep 30" or " /bin/sh -c sleep 30": its words,
// each after a space. 0 for anything else.
std::int64_t sleep_of(std::string_view command_line);
// UID of the first owner that controls, or empty.
std::string controller_of(const std::vector<OwnerReference>& owners);
// What a Deployment notes on its ReplicaSet; texts that are no numbers leave `out` as it is.
void read_revision(std::string_view text, ReplicaSet& out);
void read_desired_replicas(std::string_view text, ReplicaSet& out);
// What follows from its updateStrategy, once that is read.
void conclude_strategy(StatefulSet& out);
// The group of "apps/v1"; empty for "v1".
std::string group_of(std::string_view api_version);
void take_node_condition(std::string_view type, std::string_view status, Node& out);

// Of what anybody may write so long that it means nothing, the beginning is kept.
std::string bounded_text(std::string text);
// What the annotations of a consumer's Lease say.
void read_applied_revisions(std::string_view text, ConsumerLease& out);
void read_applied_at(std::string_view text, ConsumerLease& out);
void read_lease_seconds(std::int32_t seconds, ConsumerLease& out);
// More than `kMaxServicePorts` are not ours, whatever they are.
inline constexpr std::size_t kMaxServicePorts = 64;
// Keeps of a Service's labels what is looked at, and enough of its selector to see that it is not ours.
void bound_service(Service& out);
void take_slice_label(std::string_view key, std::string_view value, EndpointSlice& out);
// Keeps of a slice what is looked at.
void bound_slice(EndpointSlice& out);
// Keeps of a list's ConfigMap the labels that are looked at, and short annotations.
void bound_config_map(ConfigMap& out);

// What a list's ConfigMap has of ours. Anything else in it is somebody's (ConfigMap::shared).
bool is_label_of_list(std::string_view key);
bool is_annotation_of_list(std::string_view key);
bool is_key_of_list(std::string_view key);

}  // namespace poolwarden::api

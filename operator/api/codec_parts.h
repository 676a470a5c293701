// What the JSON and the protobuf readers of a kind make of its texts, once for both. For the codecs only.
#pragma once

#include "api/objects.h"

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
// The group of "apps/v1"; empty for "v1".
std::string group_of(std::string_view api_version);
void take_node_condition(std::string_view type, std::string_view status, Node& out);

// What a list's ConfigMap has of ours. Anything else in it is somebody's (ConfigMap::shared).
bool is_label_of_list(std::string_view key);
bool is_annotation_of_list(std::string_view key);
bool is_key_of_list(std::string_view key);

}  // namespace poolwarden::api

// A vLLM pod's watch event as a kube-apiserver 1.3x sends it: its size and shape are what decoding costs.
#pragma once

#include <string>

namespace poolwarden::bench {

enum class PodReady : bool { kNo, kYes };

// One line, without its newline: {"type":"MODIFIED","object":{...}}, about 6.5 KiB, half of it managedFields.
// `number` makes name, uid, ip and resourceVersion unique.
std::string pod_event(int number, PodReady ready, long resource_version);

// The object alone, as a list's items are.
std::string pod_json(int number, PodReady ready, long resource_version);

}  // namespace poolwarden::bench

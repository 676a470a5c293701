// A vLLM pod as a kube-apiserver 1.3x sends it: its size and shape are what decoding and caching cost.
#pragma once

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::bench {

enum class PodReady : bool { kNo, kYes };

struct HollowPod {
  int number = 0;  // makes name, uid and ip unique
  PodReady ready = PodReady::kYes;
  long resource_version = 1;
  std::string app = "vllm";  // its label "app", and its name up to the number
};

// As a list's items are, and as a watch line holds it. About 6.5 KiB as text, half of it managedFields.
nlohmann::json pod_object(const HollowPod& pod);
std::string pod_name(const HollowPod& pod);

// The nodes the pods are on, so that they are not taken for gone.
inline constexpr int kNodes = 128;
nlohmann::json node_object(int number);

// One line, without its newline: {"type":"MODIFIED","object":{...}}.
std::string pod_event(const HollowPod& pod);

}  // namespace poolwarden::bench

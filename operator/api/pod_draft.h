// A pod while it is read: what can be said only once all of it was seen. Both readers of the wire fill one,
// so that JSON and protobuf cannot differ in what they make of the same pod.
#pragma once

#include "api/pod.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::api {

PodPhase to_phase(std::string_view text);
Tristate to_tristate(std::string_view text);

struct ConditionDraft {
  std::string type;
  Tristate status = Tristate::kAbsent;
  std::string reason;
};

class PodDraft {
 public:
  Pod pod;  // what is said in one place only is put here
  LabelMap labels;
  std::string node;
  std::string primary_ip;  // status.podIP, in case there are no podIPs
  std::string status_reason;
  std::string controller;  // UID of the last owner that says it controls the pod
  std::vector<std::string> gates;
  std::vector<ConditionDraft> conditions;

  // Those about draining, about its ports, and about its group.
  static bool keeps_annotation(std::string_view key);
  void annotation(std::string_view key, std::string value);
  void container(bool has_pre_stop);  // init containers aside
  void ip(std::string address);       // one of status.podIPs, primary first

  // The finished pod; ready for the next one after. `labels`, `node` and `controller` are fresh values: the
  // caller interns.
  Pod take();

 private:
  Tristate status_of(std::string_view type) const;
  void finish_conditions();

  DrainAnnotations annotations_;
  std::string active_ports_, llmd_active_ports_;
  std::size_t containers_ = 0;
  std::size_t pre_stops_ = 0;
};

}  // namespace poolwarden::api

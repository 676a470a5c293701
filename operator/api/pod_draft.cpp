#include "api/pod_draft.h"

#include "api/names.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

namespace poolwarden::api {

namespace {

// What tenants write into a pod is kept for as long as the pod; no text that means something is longer.
constexpr std::size_t kMaxText = 256;

std::string bounded(std::string text) {
  return text.size() > kMaxText ? "TooLong" : std::move(text);
}

// "8000, 8001": what is no port number is left out.
std::vector<std::int32_t> read_ports(std::string_view text) {
  std::vector<std::int32_t> out;
  while (!text.empty()) {
    std::string_view word = text.substr(0, text.find(','));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    word.remove_prefix(std::min(word.find_first_not_of(' '), word.size()));
    word = word.substr(0, word.find_last_not_of(' ') + 1);
    std::int32_t port = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), port);
    if (error == std::errc() && end == word.data() + word.size() && port >= 1 && port <= 65'535)
      out.push_back(port);
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::shared_ptr<const Labels> kept(const LabelMap& labels) {
  std::size_t bytes = 0;
  for (const auto& [key, value] : labels) bytes += key.size() + value.size();
  return std::make_shared<const Labels>(bytes > Labels::kMaxBytes ? Labels::unknown() : Labels(labels));
}

}  // namespace

PodPhase to_phase(std::string_view text) {
  if (text == "Pending") return PodPhase::kPending;
  if (text == "Running") return PodPhase::kRunning;
  if (text == "Succeeded") return PodPhase::kSucceeded;
  if (text == "Failed") return PodPhase::kFailed;
  return PodPhase::kUnknown;
}

Tristate to_tristate(std::string_view text) {
  if (text == "True") return Tristate::kTrue;
  if (text == "False") return Tristate::kFalse;
  return Tristate::kUnknown;
}

const DrainAnnotations& Pod::drain_annotations() const {
  static const DrainAnnotations kNone;
  return annotations == nullptr ? kNone : *annotations;
}

const std::vector<std::int32_t>& active_ports_of(const Pod& pod) {
  static const std::vector<std::int32_t> kNone;
  return pod.active_ports ? *pod.active_ports : kNone;
}

bool PodDraft::keeps_annotation(std::string_view key) {
  return key == kDrainStartedAnnotation || key == kDrainReasonAnnotation || key == kDrainRequestAnnotation ||
         key == kSavedCostAnnotation || key == kDeletionCostAnnotation || key == kActivePortsAnnotation ||
         key == kLlmdActivePortsAnnotation || key == kGroupSizeAnnotation;
}

void PodDraft::annotation(std::string_view key, std::string value) {
  value = bounded(std::move(value));
  if (key == kDrainStartedAnnotation) {
    annotations_.started = std::move(value);
  } else if (key == kDrainReasonAnnotation) {
    annotations_.reason = std::move(value);
  } else if (key == kDrainRequestAnnotation) {
    annotations_.request = std::move(value);
  } else if (key == kSavedCostAnnotation) {
    annotations_.saved_cost = std::move(value);
  } else if (key == kDeletionCostAnnotation) {
    annotations_.deletion_cost = std::move(value);
  } else if (key == kActivePortsAnnotation) {
    active_ports_ = std::move(value);
  } else if (key == kLlmdActivePortsAnnotation) {
    llmd_active_ports_ = std::move(value);
  } else if (key == kGroupSizeAnnotation) {
    std::int16_t size = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), size);
    if (error == std::errc() && end == value.data() + value.size() && size > 0) pod.group_size = size;
  }
}

void PodDraft::container(bool has_pre_stop) {
  ++containers_;
  if (has_pre_stop) ++pre_stops_;
}

void PodDraft::ip(std::string address) {
  if (pod.ip.empty()) pod.ip = std::move(address);
}

Tristate PodDraft::status_of(std::string_view type) const {
  const auto found = std::find_if(conditions.begin(), conditions.end(),
                                  [&](const ConditionDraft& condition) { return condition.type == type; });
  return found == conditions.end() ? Tristate::kAbsent : found->status;
}

void PodDraft::finish_conditions() {
  if (!status_reason.empty()) pod.status_reason = bounded(std::move(status_reason));
  for (ConditionDraft& condition : conditions) {
    condition.reason = bounded(std::move(condition.reason));
    if (condition.type == "Ready") {
      pod.ready = condition.status;
      pod.ready_reason.reset();
      if (condition.status != Tristate::kTrue && !condition.reason.empty())
        pod.ready_reason = std::move(condition.reason);
    } else if (condition.type == "DisruptionTarget" && condition.status == Tristate::kTrue) {
      pod.disruption_target = std::move(condition.reason);
    }
  }
  pod.containers_ready = status_of("ContainersReady");
  // https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-readiness-gate
  const auto unmet = std::find_if(gates.begin(), gates.end(), [&](const std::string& gate) {
    return status_of(gate) != Tristate::kTrue;
  });
  if (unmet != gates.end() && !unmet->empty()) pod.unmet_gate = std::move(*unmet);
}

Pod PodDraft::take() {
  finish_conditions();
  pod.has_pre_stop = containers_ > 0 && pre_stops_ == containers_;
  if (const auto serving = labels.find(kServingLabel); serving != labels.end()) {
    pod.serving = std::move(serving->second);
    labels.erase(serving);
  }
  ip(std::move(primary_ip));
  pod.ip.shrink_to_fit();  // a parser's buffer has room to spare
  pod.labels = kept(labels);
  pod.node = std::make_shared<const std::string>(std::move(node));
  pod.controller = std::make_shared<const std::string>(bounded(std::move(controller)));
  if (annotations_ != DrainAnnotations{})
    pod.annotations = std::make_shared<const DrainAnnotations>(std::move(annotations_));
  auto ports = read_ports(active_ports_.empty() ? llmd_active_ports_ : active_ports_);
  if (!ports.empty()) pod.active_ports = std::move(ports);
  Pod out = std::move(pod);
  *this = PodDraft{};
  return out;
}

}  // namespace poolwarden::api

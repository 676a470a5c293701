#include "control/write_content.h"

#include "api/meta.h"
#include "api/names.h"

#include <functional>
#include <string>
#include <string_view>

namespace poolwarden::control {
namespace {

class ContentHash {
 public:
  ContentHash& operator<<(std::string_view text) { return *this << std::hash<std::string_view>{}(text); }
  ContentHash& operator<<(std::size_t number) {
    value_ = value_ * 1'099'511'628'211U ^ number;
    return *this;
  }
  ContentHash& operator<<(const api::LabelMap& labels) {
    for (const auto& [key, value] : labels) *this << key << value;
    return *this << labels.size();
  }
  std::size_t value() const { return value_; }

 private:
  std::size_t value_ = 0;
};

}  // namespace

std::size_t content_hash(const api::EndpointSet& set) {
  ContentHash content;
  for (const api::Endpoint& endpoint : set.endpoints) {
    content << endpoint.uid << endpoint.ip << endpoint.node << endpoint.zone
            << static_cast<std::size_t>(endpoint.state);
    for (const api::EndpointPort& port : endpoint.ports)
      content << port.name << static_cast<std::size_t>(port.number);
  }
  return content.value();
}

std::size_t content_hash(const api::ServiceWrite& write) {
  ContentHash content;
  content << write.labels << write.selector << static_cast<std::size_t>(write.adopt)
          << static_cast<std::size_t>(write.drop_selector) << static_cast<std::size_t>(write.unmark);
  for (const api::ServicePort& port : write.ports)
    content << port.name << port.target << static_cast<std::size_t>(port.number);
  return content.value();
}

std::size_t content_hash(const api::EndpointSlice& slice) {
  ContentHash content;
  content << slice.service << slice.address_type;
  for (const api::OwnerReference& owner : slice.owners) content << owner.uid;
  for (const api::SlicePort& port : slice.ports)
    content << port.name << port.protocol << static_cast<std::size_t>(port.number);
  for (const api::SliceEndpoint& endpoint : slice.endpoints) {
    const int conditions =
        (endpoint.ready ? 1 : 0) | (endpoint.serving ? 2 : 0) | (endpoint.terminating ? 4 : 0);
    content << endpoint.uid << endpoint.address << endpoint.node << endpoint.zone
            << static_cast<std::size_t>(conditions);
  }
  return content.value();
}

std::size_t content_hash(const api::BudgetWrite& write) {
  ContentHash content;
  for (const api::SelectorRequirement& one : write.selector.match_expressions) {
    content << one.key << one.op;
    for (const std::string& value : one.values) content << value;
  }
  return content.value();
}

// The last writer of `replicas` wins. The value is compared only when we asked for more replicas than the
// pool's spec: an autoscaler that we cannot see may undo that request again and again.
std::optional<std::size_t> content_hash(const api::ScaleWrite& write) {
  if (write.to <= write.agreed) return std::nullopt;
  return static_cast<std::size_t>(write.to);
}

// What another controller had set, and is kept for it, is its own: it may set another each time.
std::size_t content_hash(const api::PodLabelWrite& write) {
  ContentHash content;
  content << write.uid << write.serving.value_or(std::string());
  for (const auto& [key, value] : write.annotations) {
    if (key != api::kSavedCostAnnotation) content << key << value.value_or(std::string());
  }
  return content.value();
}

}  // namespace poolwarden::control

#include "kube/json_sink.h"

#include <nlohmann/json.hpp>

namespace poolwarden::kube {

DomBuilder::DomBuilder() : root_(std::make_unique<nlohmann::json>()) {}
DomBuilder::~DomBuilder() = default;

void DomBuilder::clear() {
  *root_ = nullptr;
  open_.clear();
}

void DomBuilder::start(bool is_object) {
  open_.push_back(&add(is_object ? nlohmann::json::object() : nlohmann::json::array()));
}

void DomBuilder::string(std::string& value) {
  add(std::move(value));
}
void DomBuilder::integer(std::int64_t value) {
  add(value);
}
void DomBuilder::real(double value) {
  add(value);
}
void DomBuilder::boolean(bool value) {
  add(value);
}
void DomBuilder::null() {
  add(nullptr);
}

// An array's elements may move when it grows, but only while none of them is open.
nlohmann::json& DomBuilder::add(nlohmann::json value) {
  if (open_.empty()) return *root_ = std::move(value);
  nlohmann::json& parent = *open_.back();
  if (parent.is_array()) {
    parent.push_back(std::move(value));
    return parent.back();
  }
  return parent[key_] = std::move(value);
}

}  // namespace poolwarden::kube

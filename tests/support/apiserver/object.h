// A stored object, immutable once stored: every write makes a new one. Shared by the store, the history that
// watches read and whoever asked for it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {

class Object {
 public:
  Object(nlohmann::json body, std::uint64_t revision) : body_(std::move(body)), revision_(revision) {}

  const nlohmann::json& body() const { return body_; }
  std::uint64_t revision() const { return revision_; }
  // The serialized object, made once. Not synchronised: the model is used by one thread at a time.
  const std::string& text() const {
    if (text_.empty()) text_ = body_.dump();
    return text_;
  }

 private:
  nlohmann::json body_;
  std::uint64_t revision_;
  mutable std::string text_;
};

using ObjectPtr = std::shared_ptr<const Object>;

}  // namespace poolwarden::apiserver

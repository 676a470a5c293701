#include "parts.h"

#include <nlohmann/json.hpp>

namespace poolwarden::control {

std::vector<std::string> post_all(PoolEvents& events, WriteDispatcher& writes, api::Now now) {
  std::vector<std::string> told;
  for (Effects out; true; out = {}) {
    events.post(writes, now, out);
    if (out.sends.empty()) return told;
    const Send& send = out.sends.front();
    const auto body = nlohmann::json::parse(send.call.body);
    const auto& about = body.value("regarding", nlohmann::json::object());
    told.push_back(
        fmt::format("{} {}: {}", about.value("kind", ""), about.value("name", ""), body.value("note", "")));
    const auto answered = writes.answered({send.id, Answer(std::string("{}"))}, now.mono);
    const auto* event = answered ? std::get_if<EventWrite>(&answered->call.purpose) : nullptr;
    if (event == nullptr) {
      ADD_FAILURE() << "what was sent is no Event";
      return told;
    }
    events.posted(*event, "{}", now.mono);
  }
}

}  // namespace poolwarden::control

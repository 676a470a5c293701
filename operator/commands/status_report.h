// What `status` and `watch` say of pools. Pure: from views and the time to text or JSON.
#pragma once

#include "commands/terminal_text.h"
#include "commands/view.h"

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::commands {

// Of the documents that -o json and -o yaml print.
inline constexpr const char* kReportVersion = "commands.poolwarden.io/v1alpha1";

enum class Namespaces : bool { kOne, kAll };

// The reason of a problem that passes by itself: the operator has yet to take in a change of the spec.
inline constexpr std::string_view kNotObserved = "NotObserved";

// A condition that is not as it should be; `type` is empty for what no condition says.
struct Problem {
  std::string type;
  std::string status;
  std::string reason;
  std::string message;
};
std::vector<Problem> problems(const PoolView& pool);

// "draining for 12 s, 3 in flight, at most 288 s more"
std::string state_sentence(const EndpointView& endpoint, api::Timestamp now);
// Whether that says more of such an endpoint than its state.
bool has_sentence(std::string_view state);
Style style_of_state(std::string_view state);

// `width`: of the terminal, to cut lines to; 0 for none.
TerminalText status_table(const std::vector<PoolView>& pools, Namespaces namespaces, api::Timestamp now,
                          Paint paint, std::size_t width = 0);
TerminalText endpoint_table(const std::vector<PoolView>& pools, Namespaces namespaces, api::Timestamp now,
                            Paint paint, std::size_t width = 0);
TerminalText status_text(const PoolView& pool, api::Timestamp now, Paint paint, std::size_t width = 0);
nlohmann::json status_json(const PoolView& pool, api::Timestamp now);
nlohmann::json status_list_json(const std::vector<PoolView>& pools, api::Timestamp now);

}  // namespace poolwarden::commands

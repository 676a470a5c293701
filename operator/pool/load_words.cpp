#include "pool/load_words.h"

#include <fmt/format.h>

namespace poolwarden::pool {
namespace {

// A long prompt takes an engine some seconds, in which no counter of it moves. A choice does not wait for
// those, but nobody need hear of them.
constexpr EngineLoadTracker::Duration kWorthTelling = std::chrono::seconds(10);

}  // namespace

std::string remark_on(const PodLoad& load) {
  std::string sent_to;
  if (load.still_sent_to) {
    sent_to =
        "it still gets new requests, long after it left the list: a client or router does not follow "
        "the list, or keeps its connection or session";
  }
  if (!load.load) return sent_to.empty() ? load.problem : fmt::format("{}; {}", load.problem, sent_to);
  if (!sent_to.empty()) return sent_to;
  if (load.still >= kWorthTelling) {
    return "its engine stands still: it counts requests in flight, and its counters of tokens do not "
           "move. Its clients may have gone away, which vLLM does not notice before its next request";
  }
  return {};
}

std::string in_flight_words(const PodLoad* load) {
  const std::string remark = load == nullptr ? std::string{} : remark_on(*load);
  const std::string_view colon = remark.empty() ? "" : ": ";
  if (load != nullptr && load->load)
    return fmt::format("with {:.0f} in flight{}{}", load->load->in_flight, colon, remark);
  return fmt::format("and how many requests are in flight is unknown{}{}", colon, remark);
}

}  // namespace poolwarden::pool

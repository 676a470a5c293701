// Misbehaviour on demand: which requests the server should answer badly, and how.
//
// Rules are tried in order; the first that matches and still has a count left decides. Set from C++ or as
// JSON over HTTP (POST /faults with one rule or an array of them, GET /faults shows them, DELETE /faults
// clears them):
//   {"fault": "too_many_requests", "verb": "list", "resource": "pods", "namespace": "", "name": "", "user":
//   "",
//    "count": 2, "probability": 1.0, "seconds": 1, "bytes": 0, "skip": 0}
// Used by one thread at a time; the server guards it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>
#include <tl/expected.hpp>

namespace poolwarden::apiserver {

enum class FaultKind : std::uint8_t {
  // answers in place of the real one
  kGoneAtConnect,    // 410 Expired as the HTTP status
  kConflict,         // 409
  kTooManyRequests,  // 429 with Retry-After: `seconds`
  kInternalError,    // 500
  kUnavailable,      // 503, with Retry-After if `seconds` > 0
  kHtml,             // 502 with a proxy's HTML page
  kGarbage,          // 200 with broken JSON (a list), a broken line in the stream (a watch)
  kHugeLine,         // 200 with one line of `bytes` (default 100 MB)
  // watches
  kEmptyStream,    // 200, then EOF
  kGoneInStream,   // 200, then an ERROR event with code 410
  kErrorInStream,  // 200, then an ERROR event with code 500
  // how the bytes travel
  kSplit,           // chunks of `bytes` (default 1) bytes, each sent alone
  kStall,           // the head, then nothing for `seconds` (0: until the client gives up)
  kCut,             // the connection is closed in the middle of a line (after `bytes` of body, if given)
  kDelayBefore,     // wait `seconds` before the request is carried out
  kDelayAfter,      // carried out, then wait `seconds` before the answer
  kLostAnswer,      // carried out, then the connection is closed without an answer
  kDropConnection,  // closed without an answer, not carried out
  // data
  kStaleList,  // a list is answered as it was `bytes` changes ago
};

struct FaultRule {
  FaultKind kind = FaultKind::kInternalError;
  // Empty matches everything. The verb is the API's: get, list, watch, create, update, patch, delete.
  std::string verb;
  std::string resource;  // "pods" or "pods/status"
  std::string ns;
  std::string name;
  std::string user;
  std::uint64_t skip = 0;              // let this many matching requests pass first
  std::optional<std::uint64_t> count;  // how often it strikes; nothing: until it is cleared
  double probability = 1.0;
  double seconds = 0;
  std::uint64_t bytes = 0;
};

// What a rule is matched against.
struct FaultSubject {
  std::string_view verb;
  std::string_view resource;
  std::string_view ns;
  std::string_view name;
  std::string_view user;
};

std::string_view to_string(FaultKind kind);
std::optional<FaultKind> parse_fault_kind(std::string_view name);
tl::expected<FaultRule, std::string> parse_fault_rule(const nlohmann::json& json);

class FaultSet {
 public:
  explicit FaultSet(std::uint64_t seed = 1) : random_(seed) {}

  void add(FaultRule rule) { rules_.push_back(std::move(rule)); }
  void clear() { rules_.clear(); }
  bool empty() const { return rules_.empty(); }
  // The fault that strikes this request, if any; counts it.
  std::optional<FaultRule> strike(const FaultSubject& subject);
  nlohmann::json to_json() const;
  std::uint64_t struck() const { return struck_; }

 private:
  std::vector<FaultRule> rules_;
  std::mt19937_64 random_;
  std::uint64_t struck_ = 0;
};

}  // namespace poolwarden::apiserver

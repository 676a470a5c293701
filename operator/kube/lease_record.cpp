#include "kube/lease_record.h"

#include "base/json_read.h"

#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

namespace poolwarden::kube {
namespace {

using nlohmann::json;

// A Lease nests three deep. Writing a document recurses, so one that nests a million deep must not get in.
constexpr int kMaxLeaseDepth = 32;
constexpr std::int64_t kMaxInt32 = std::numeric_limits<std::int32_t>::max();

Error unreadable_lease(std::string why) {
  return Error{ErrorClass::kTerminal, 0, "UnreadableLease",
               "the API server's answer is not a Lease that can be used: " + std::move(why), std::nullopt};
}

// False: there, but no text.
bool read_text(const json& object, const char* name, std::string& out) {
  const json& value = base::member(object, name);
  if (!value.is_null() && !value.is_string()) {
    return false;
  }
  out = base::string_at(object, name);
  return true;
}

void put_term(json& lease, const LeaseTerm& term) {
  json& spec = lease["spec"];
  spec["holderIdentity"] = term.holder;
  spec["leaseDurationSeconds"] = term.duration.value_or(std::chrono::seconds{1}).count();
  spec["acquireTime"] = term.acquire_time;
  spec["renewTime"] = term.renew_time;
  spec["leaseTransitions"] = std::min(term.transitions, kMaxInt32);
}

}  // namespace

Result<LeaseRecord> parse_lease(std::string_view body) {
  bool too_deep = false;
  const json::parser_callback_t watch_depth = [&](int depth, json::parse_event_t, json&) {
    too_deep = too_deep || depth > kMaxLeaseDepth;
    return !too_deep;
  };
  const json lease = json::parse(body, watch_depth, /*allow_exceptions=*/false);
  if (too_deep || !lease.is_object()) {
    return tl::unexpected(unreadable_lease(too_deep ? "it nests too deep" : "it is not a JSON object"));
  }
  const json& metadata = base::member(lease, "metadata");
  LeaseRecord record;
  if (!read_text(metadata, "uid", record.uid) ||
      !read_text(metadata, "resourceVersion", record.resource_version) || record.resource_version.empty()) {
    return tl::unexpected(unreadable_lease("metadata has no uid or no resourceVersion"));
  }
  const json& spec = base::member(lease, "spec");
  if (!spec.is_null() && !spec.is_object()) {
    return tl::unexpected(unreadable_lease("spec is not an object"));
  }
  LeaseTerm& term = record.term;
  if (!read_text(spec, "holderIdentity", term.holder) || !read_text(spec, "renewTime", term.renew_time) ||
      !read_text(spec, "acquireTime", term.acquire_time)) {
    return tl::unexpected(unreadable_lease("spec.holderIdentity, renewTime or acquireTime is not a string"));
  }
  const auto seconds = base::integer_at<std::int32_t>(spec, "leaseDurationSeconds");
  if (seconds && *seconds > 0) {
    term.duration = std::chrono::seconds{*seconds};
  }
  const auto transitions = base::integer_at<std::int32_t>(spec, "leaseTransitions");
  if (transitions && *transitions > 0) {
    term.transitions = *transitions;
  }
  record.object = lease.dump();
  return record;
}

std::string new_lease(const std::string& ns, const std::string& name, const LeaseTerm& term) {
  json lease = {{"apiVersion", "coordination.k8s.io/v1"},
                {"kind", "Lease"},
                {"metadata", {{"name", name}, {"namespace", ns}}}};
  put_term(lease, term);
  return lease.dump();
}

std::string updated_lease(const LeaseRecord& base, const LeaseTerm& term) {
  json lease = json::parse(base.object);  // our own dump of it
  if (!lease["spec"].is_object()) {
    lease["spec"] = json::object();
  }
  put_term(lease, term);
  return lease.dump();
}

}  // namespace poolwarden::kube

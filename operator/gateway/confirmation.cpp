#include "gateway/confirmation.h"

#include "api/names.h"
#include "base/hash.h"
#include "base/time.h"
#include "kube/resource.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

using nlohmann::json;

constexpr std::size_t kLongestName = 253;

// A DNS subdomain, as names of Leases are. What does not fit is told apart by a number.
std::string lease_name_of(const ConsumerIdentity& identity) {
  const std::string wanted = fmt::format("{}-{}-{}", identity.pool, identity.kind, identity.consumer);
  std::string name;
  for (const char c : wanted.substr(0, kLongestName - 20)) {
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
    name += fits ? c : '-';
  }
  while (!name.empty() && (name.back() == '-' || name.back() == '.')) name.pop_back();
  if (name != wanted) name += fmt::format("-{:016x}", base::fnv1a(wanted));
  return name;
}

}  // namespace

Confirmation::Confirmation(ConsumerIdentity identity)
    : identity_(std::move(identity)), name_(lease_name_of(identity_)) {}

void Confirmation::set_owner(std::string pod, std::string uid) {
  owner_pod_ = std::move(pod);
  owner_uid_ = std::move(uid);
}

void Confirmation::applied(const std::vector<std::int64_t>& revisions, kube::TimePoint now,
                           kube::WallTime wall) {
  vouched_ = true;
  std::string text = fmt::format("{}", fmt::join(revisions, ","));
  if (text == revisions_) return;
  revisions_ = std::move(text);
  applied_at_ = base::to_micro_time(wall);
  // What is refused for lack of a right is not asked for more often because there is more to say.
  if (told_.empty()) due_ = std::min(due_, std::max(now, paced_until_));
}

std::optional<kube::Call> Confirmation::next(kube::TimePoint now, kube::WallTime wall) {
  if (in_flight_ || !vouched_ || revisions_.empty() || now < due_) return std::nullopt;
  in_flight_ = true;
  paced_until_ = now + kPace;
  sent_ = revisions_;
  return create_ ? kube::create(kube::kLeases, identity_.ns, body(wall))
                 : kube::merge_patch(kube::kLeases, identity_.ns, name_, body(wall));
}

std::optional<std::string> Confirmation::answered(const kube::Result<std::string>& answer,
                                                  kube::TimePoint now) {
  in_flight_ = false;
  if (answer) {
    create_ = false;
    told_.clear();
    due_ = sent_ == revisions_ ? now + kRenew : std::max(now, paced_until_);
    return std::nullopt;
  }
  const kube::Error& error = answer.error();
  if (error.is_not_found() && !create_) {
    create_ = true;
    due_ = now;
    return std::nullopt;
  }
  create_ = false;
  due_ = now + (error.already_exists() ? std::chrono::seconds(0)
                                       : (error.is_out_of_reach() ? kRetryForbidden : kRetry));
  if (error.already_exists() || error.message == told_) return std::nullopt;
  told_ = error.message;
  return told_;
}

std::optional<kube::TimePoint> Confirmation::next_deadline() const {
  if (in_flight_ || !vouched_ || revisions_.empty()) return std::nullopt;
  return due_;
}

std::string Confirmation::body(kube::WallTime wall) const {
  json metadata = {
      {"name", name_},
      {"namespace", identity_.ns},
      {"labels",
       {{api::kPoolLabel, identity_.pool},
        {api::kConsumerLabel, identity_.kind},
        {api::kManagedByLabel, api::kManagedByValue}}},
      {"annotations",
       {{api::kAppliedRevisionsAnnotation, revisions_}, {api::kAppliedAtAnnotation, applied_at_}}}};
  if (!owner_uid_.empty())
    metadata["ownerReferences"] = {
        {{"apiVersion", "v1"}, {"kind", "Pod"}, {"name", owner_pod_}, {"uid", owner_uid_}}};
  const json lease = {{"apiVersion", "coordination.k8s.io/v1"},
                      {"kind", "Lease"},
                      {"metadata", std::move(metadata)},
                      {"spec",
                       {{"holderIdentity", identity_.consumer},
                        {"leaseDurationSeconds", kLeaseDuration.count()},
                        {"renewTime", base::to_micro_time(wall)}}}};
  return lease.dump();
}

}  // namespace poolwarden::gateway

#include "support/sim/ordinal_leavers.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/stateful_set_view.h"

#include <limits>

#include <nlohmann/json.hpp>

namespace poolwarden::sim {

using apiserver::text_at;

void OrdinalLeavers::look_at(const nlohmann::json& set, kube::TimePoint now) {
  const cluster::StatefulSetView view(set);
  name_ = view.name;
  end_.set(view.end(), now);
  first_updated_.set(view.first_updated(), now);
  const std::string revision = text_at(set, {"status", "updateRevision"});
  if (revision.empty()) return;
  const auto number = static_cast<std::int64_t>(revisions_.size());
  revision_.set(revisions_.emplace(revision, number).first->second, now);
}

bool OrdinalLeavers::is_beyond(std::string_view pod, kube::TimePoint since) const {
  const auto ordinal = cluster::ordinal_of(name_, pod);
  return ordinal && *ordinal >= end_.least(since).value_or(std::numeric_limits<std::int64_t>::max());
}

bool OrdinalLeavers::is_outdated(std::string_view pod, const std::string& revision,
                                 kube::TimePoint since) const {
  const auto ordinal = cluster::ordinal_of(name_, pod);
  const auto first = first_updated_.least(since);
  if (!ordinal || !first || *ordinal < *first) return false;
  const std::int64_t own = number_of(revision);
  return revision_.least(since) != own || revision_.most(since) != own;
}

bool OrdinalLeavers::is_above(std::string_view pod, std::string_view other) const {
  const auto ordinal = cluster::ordinal_of(name_, pod);
  return ordinal && *ordinal > cluster::ordinal_of(name_, other).value_or(0);
}

bool OrdinalLeavers::is_updated(std::string_view pod, const std::string& revision) const {
  return !is_outdated(pod, revision, kube::TimePoint::max());
}

// None that a set ever rolled out is -1.
std::int64_t OrdinalLeavers::number_of(const std::string& revision) const {
  const auto found = revisions_.find(revision);
  return found == revisions_.end() ? -1 : found->second;
}

}  // namespace poolwarden::sim

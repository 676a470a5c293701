#include "control/consumer_watch.h"

#include <utility>

namespace poolwarden::control {
namespace {

// A process that stood still for so long has not listened either.
constexpr kube::Duration kLate = std::chrono::seconds(5);

}  // namespace

std::set<kube::ObjectKey> ConsumerWatch::changed(const kube::Delta<api::ConsumerLease>& delta,
                                                 kube::TimePoint now, ControllerMetrics& metrics) {
  std::set<kube::ObjectKey> marked;
  if (delta.before && (!delta.after || delta.after->pool != delta.before->pool)) {
    const kube::ObjectKey left{delta.before->ns, delta.before->pool};
    if (take_away(left, delta.before->name)) marked.insert(left);
  }
  if (!delta.after || delta.after->pool.empty()) return marked;
  const api::ConsumerLease& lease = *delta.after;
  const kube::ObjectKey key{lease.ns, lease.pool};
  Followers& followers = pools_[key];
  if (const auto* before = followers.consumers.applied(lease.name)) {
    for (const auto took : followers.times.confirmed(*before, lease.applied, now))
      metrics.consumer_confirmed(key.ns, key.name, took);
  }
  if (followers.consumers.saw(lease, now)) marked.insert(key);
  check(key, followers);
  if (followers.consumers.empty()) take_away(key, lease.name);
  return marked;
}

bool ConsumerWatch::take_away(const kube::ObjectKey& pool, const std::string& lease) {
  const auto found = pools_.find(pool);
  if (found == pools_.end()) return false;
  const bool was_there = found->second.consumers.gone(lease);
  if (!found->second.consumers.empty()) return was_there;
  if (found->second.check_at) checks_.erase({*found->second.check_at, pool});
  pools_.erase(found);
  return was_there;
}

void ConsumerWatch::check(const kube::ObjectKey& pool, Followers& followers) {
  const auto next = followers.consumers.next_silence();
  if (!next || (followers.check_at && *followers.check_at <= *next)) return;
  if (followers.check_at) checks_.erase({*followers.check_at, pool});
  followers.check_at = next;
  checks_.emplace(*next, pool);
}

void ConsumerWatch::list_written(const kube::ObjectKey& pool, std::int32_t shard, std::int64_t revision,
                                 kube::TimePoint now) {
  const auto found = pools_.find(pool);
  if (found != pools_.end()) found->second.times.written(shard, revision, now);
}

std::vector<ConsumerWatch::Silence> ConsumerWatch::look(Hearing hearing, kube::TimePoint now) {
  std::vector<Silence> out;
  const Hearing before = std::exchange(hearing_, hearing);
  if (hearing != Hearing::kHears) {
    if (before != hearing) blind_since_ = now;
    blind_for_long_ = now - blind_since_ >= pool::ListConsumers::kLongest;
    return out;
  }
  blind_for_long_ = false;
  if (before == Hearing::kBlind) {
    for (auto& [key, followers] : pools_) followers.consumers.heard_again(now);
  }
  while (!checks_.empty() && checks_.begin()->first <= now) {
    const auto [due, key] = *checks_.begin();
    checks_.erase(checks_.begin());
    Followers& followers = pools_.at(key);
    followers.check_at.reset();
    if (now - due > kLate) followers.consumers.heard_again(now);
    const std::size_t live = followers.consumers.live();
    std::vector<std::string> names = followers.consumers.fall_silent(now);
    if (followers.consumers.live() < live) out.push_back({key, std::move(names)});
    check(key, followers);
  }
  return out;
}

std::optional<kube::TimePoint> ConsumerWatch::next_deadline() const {
  if (hearing_ != Hearing::kHears || checks_.empty()) return std::nullopt;
  return checks_.begin()->first;
}

const pool::ListConsumers* ConsumerWatch::of(const kube::ObjectKey& pool) const {
  const bool believed = hearing_ == Hearing::kHears || (hearing_ == Hearing::kBlind && !blind_for_long_);
  const auto found = pools_.find(pool);
  return !believed || found == pools_.end() ? nullptr : &found->second.consumers;
}

}  // namespace poolwarden::control

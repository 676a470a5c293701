#include "control/sight.h"

#include "api/names.h"

#include <algorithm>
#include <utility>

namespace poolwarden::control {
namespace {

using PoolPtr = std::shared_ptr<const api::InferencePool>;

bool answers_what_it_has(const api::EndpointStatus& endpoint) {
  return endpoint.state == api::serving::kDraining || endpoint.state == api::serving::kFinishing;
}

class PoolSight {
 public:
  PoolSight(const FeedTable& feeds, const ListMemory& list, std::size_t most)
      : feeds_(feeds), list_(list), most_(most) {}

  SeenPool of(PoolPtr pool) {
    seen_.pool = std::move(pool);
    const api::PoolStatus& status = seen_.pool->status;
    seen_.listed = list_.ready_count();
    // Drains have places of their own: pods that crash take none of theirs.
    add_told([](const auto& endpoint) { return answers_what_it_has(endpoint); }, most_);
    const std::size_t drains = seen_.pods.size();
    add_told([](const auto& endpoint) { return !answers_what_it_has(endpoint); }, drains + most_);
    const std::size_t told = seen_.pods.size();
    add_listed(drains + most_);
    const auto on_list = static_cast<std::size_t>(
        std::count_if(seen_.pods.begin(), seen_.pods.end(), [](const SeenPod& pod) { return pod.listed; }));
    seen_.more_pods = status.endpoints.size() - told +
                      static_cast<std::size_t>(std::max(0, status.endpoints_omitted)) + seen_.listed -
                      std::min(seen_.listed, on_list);
    return std::move(seen_);
  }

 private:
  template <class Test>
  void add_told(Test test, std::size_t most) {
    for (const api::EndpointStatus& endpoint : seen_.pool->status.endpoints) {
      if (seen_.pods.size() >= most) return;
      if (!test(endpoint)) continue;
      PodPtr pod = feeds_.store<Pods>().find(seen_.pool->ns, endpoint.pod);
      const bool listed = pod != nullptr && list_.lists(pod->uid);
      seen_.pods.push_back({endpoint.pod, &endpoint, std::move(pod), listed});
    }
  }

  void add_listed(std::size_t most) {
    const std::size_t told = seen_.pods.size();
    for (std::int32_t shard = 1; shard <= list_.shards(); ++shard) {
      for (const auto& [uid, name] : list_.ready(shard)) {
        if (seen_.pods.size() >= most) return;
        const auto end = seen_.pods.begin() + static_cast<std::ptrdiff_t>(told);
        if (std::any_of(seen_.pods.begin(), end,
                        [&](const SeenPod& pod) { return pod.listed && pod.pod->uid == uid; }))
          continue;
        PodPtr pod = feeds_.store<Pods>().find(seen_.pool->ns, name);
        if (pod != nullptr && pod->uid != uid) pod = nullptr;
        seen_.pods.push_back({name, nullptr, std::move(pod), true});
      }
    }
  }

  const FeedTable& feeds_;
  const ListMemory& list_;
  std::size_t most_;  // of drains, and of the others
  SeenPool seen_;
};

}  // namespace

Sight take_sight(const FeedTable& feeds, const PoolTable& table, const Leadership& leadership, api::Now now,
                 const SightLimits& limits) {
  Sight sight;
  sight.at = now;
  const auto shown = table.first(limits.pools, limits.pools_of_namespace);
  sight.more_pools = table.size() - shown.size();
  const std::size_t share =
      std::clamp(limits.pods / std::max<std::size_t>(1, shown.size()), limits.least_pods, limits.most_pods);
  for (const PoolRecord* record : shown) {
    PoolPtr pool = feeds.store<Pools>().find(record->key);
    if (pool != nullptr) sight.pools.push_back(PoolSight(feeds, record->list, share).of(std::move(pool)));
  }
  sight.elects = leadership.elects();
  sight.leads = leadership.leads();
  sight.identity = leadership.identity();
  if (!sight.leads) sight.holder = leadership.holder(now.mono);
  sight.feeds = feeds.health();
  return sight;
}

}  // namespace poolwarden::control

#include "support/sim/list_reader.h"

#include "api/names.h"
#include "kube/client.h"
#include "kube/resource.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace poolwarden::sim {
namespace {

using Informer = kube::InformerFeed<api::ConfigMapCodec>;

}  // namespace

struct ListReader::Process {
  struct Feed {
    Feed(ListReader& owner, Process& process, std::uint64_t seed, kube::WatchScope scope)
        : informer(
              {}, kube::seeded_random(seed), process.client, kube::kConfigMaps, std::move(scope),
              [&time = owner.time_] { return time.now().mono; },
              [this, &owner, &process](Informer::Input input) {
                inbox.push_back(std::move(input));
                process.wake(owner, {});
              }) {}

    void turn(kube::TimePoint now, Informer::Deltas& deltas) {
      for (Informer::Input& input : std::exchange(inbox, {})) informer.step(std::move(input), now, deltas);
      informer.tick(now);
      const std::string& version = informer.informer().resource_version();
      if (informer.informer().synced() && !version.empty()) told = std::stoull(version);
    }

    Informer informer;
    std::vector<Informer::Input> inbox;
    std::uint64_t told = 0;
  };

  Process(ListReader& owner, std::uint64_t seed)
      : transport(owner.time_, owner.model_, owner.network_, kube::seeded_random(seed), "gateway"),
        client(transport),
        reader(owner.options_.config_map, owner.options_.pool),
        first(owner, *this, seed + 1, {owner.options_.ns, {}, "metadata.name=" + owner.options_.config_map}) {
  }
  ~Process() { *alive = false; }

  void wake(ListReader& owner, kube::Duration delay) {
    const kube::TimePoint due = owner.time_.now().mono + delay;
    if (due >= turn_due) return;
    turn_due = due;
    owner.time_.at(due, [this, &owner, alive = alive, due] {
      if (!*alive || turn_due != due) return;
      turn_due = kube::TimePoint::max();
      owner.turn(*this);
    });
  }

  SimTransport transport;
  kube::Client client;
  gateway::PublishedList reader;
  Feed first;
  std::optional<Feed> others;
  std::optional<api::EndpointSet> list;
  kube::TimePoint turn_due = kube::TimePoint::max();
  std::shared_ptr<bool> alive = std::make_shared<bool>(true);
};

ListReader::ListReader(VirtualTime& time, apiserver::Model& model, Options options)
    : time_(time), model_(model), options_(std::move(options)) {}

ListReader::~ListReader() = default;

void ListReader::start() {
  process_.reset();
  process_ = std::make_unique<Process>(*this, options_.seed * 331 + 10 * ++starts_);
  process_->first.informer.start(time_.now().mono);
  turn(*process_);
}

void ListReader::cut() {
  if (process_) process_->transport.cut();
}

void ListReader::model_changed() {
  if (process_) process_->transport.changed();
}

// As GatewaySync does.
void ListReader::turn(Process& process) {
  const kube::TimePoint now = time_.now().mono;
  Informer::Deltas deltas;
  process.first.turn(now, deltas);
  if (process.others) process.others->turn(now, deltas);
  for (const auto& delta : deltas) {
    if (delta.after == nullptr) {
      process.reader.gone(delta.before->name);
    } else if (delta.before == nullptr || delta.before->endpoints_json != delta.after->endpoints_json) {
      if (auto list = process.reader.saw(*delta.after); list && *list) process.list = *std::move(*list);
    }
  }
  if (process.reader.shards() > 1 && !process.others) {
    const std::string ours = fmt::format("{}={},{}", api::kPoolLabel, options_.pool, api::kShardLabel);
    process.others.emplace(*this, process, options_.seed * 331 + 10 * starts_ + 2,
                           kube::WatchScope{options_.ns, ours, {}});
    process.others->informer.start(now);
  }
  for (const auto* feed : {&process.first, process.others ? &*process.others : nullptr}) {
    const auto deadline = feed == nullptr ? std::nullopt : feed->informer.next_deadline();
    if (deadline)
      process.wake(*this, std::max<kube::Duration>(*deadline - now, std::chrono::microseconds(10)));
  }
  if (turned_) turned_();
}

const std::optional<api::EndpointSet>& ListReader::list() const {
  static const std::optional<api::EndpointSet> kNone;
  return process_ ? process_->list : kNone;
}

std::uint64_t ListReader::told(std::int32_t shard) const {
  if (!process_) return 0;
  if (shard == 1) return process_->first.told;
  return process_->others ? process_->others->told : 0;
}

}  // namespace poolwarden::sim

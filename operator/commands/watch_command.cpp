// `watch`: a table of pools that follows the API server's watch; lines where there is no terminal.
#include "api/endpoint_set.h"
#include "api/json_read.h"
#include "api/names.h"
#include "base/random.h"
#include "commands/cluster_reader.h"
#include "commands/context.h"
#include "commands/status_report.h"
#include "commands/watch_changes.h"
#include "kube/bounded_queue.h"
#include "kube/informer_feed.h"
#include "publish/calls.h"

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

// A pool's list, of which only that is wanted: `set` is nothing for a ConfigMap that is no list.
struct ListView : api::Identity {
  std::optional<api::EndpointSet> set;
};

struct ListViewCodec {
  using Object = ListView;
  static ListView from_json(const nlohmann::json& object) {
    ListView out;
    api::read_identity(object, out);
    const auto document = api::string_at(api::member(object, "data"), api::kEndpointsJsonKey);
    out.set = api::parse_endpoint_set(document, nullptr);
    return out;
  }
};

using Input = std::variant<kube::InformerInput<PoolView>, kube::InformerInput<ListView>>;
using Queue = kube::BoundedQueue<Input>;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kQueueCapacity = 256;
// Ages are counted in seconds, and the table is drawn as often.
constexpr std::chrono::milliseconds kFrame{1000};

// What is watched of one kind.
template <class Codec>
struct Feed : kube::InformerFeed<Codec> {
  Feed(kube::Client& client, const kube::ResourceType& type, kube::WatchScope scope,
       const std::shared_ptr<Queue>& queue)
      : kube::InformerFeed<Codec>({}, base::unseeded_random(), client, type, std::move(scope), &Clock::now,
                                  [queue](auto input) { (void)queue->push(std::move(input)); }) {}
};

// Pools tell who is not ready, their lists who is: what is shown is both together.
class Watch {
 public:
  Watch(Context& context, const WatchOptions& options)
      : context_(context),
        options_(options),
        queue_(std::make_shared<Queue>(kQueueCapacity)),
        pools_(context.session.client(), publish::kInferencePools,
               {ns(), {}, options.pool.empty() ? "" : "metadata.name=" + options.pool}, queue_),
        lists_(context.session.client(), kube::kConfigMaps,
               {ns(),
                options.pool.empty() ? fmt::format("{}", api::kPoolLabel)
                                     : fmt::format("{}={}", api::kPoolLabel, options.pool),
                {}},
               queue_) {}
  // Whoever waits to put something in is let go, so that the transport can end.
  ~Watch() { queue_->close(); }
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  int run() {
    context_.session.on_interrupt([queue = queue_] { queue->close(); });
    pools_.start(Clock::now());
    lists_.start(Clock::now());
    while (true) {
      const kube::WaitResult woken = queue_->wait_until(next_wake());
      if (woken == kube::WaitResult::kClosed) return ended(kDone);
      if (const auto code = turn(woken)) return ended(*code);
    }
  }

 private:
  std::string ns() const { return options_.all_namespaces ? "" : context_.session.ns(); }

  // What was never seen, and what may not be watched, is for a person to mend.
  bool is_final(const kube::Error& error) const {
    return !pools_.informer().synced() || error.http_status == 403;
  }
  // Without them, who is ready is not shown, and all else is.
  bool knows_lists() const { return lists_.informer().synced() || lists_.informer().last_error(); }

  kube::TimePoint next_wake() const {
    kube::TimePoint wake = Clock::now() + kFrame;
    for (const auto deadline : {pools_.next_deadline(), lists_.next_deadline()})
      wake = std::min(wake, deadline.value_or(wake));
    return wake;
  }

  std::optional<int> turn(kube::WaitResult woken) {
    std::vector<Input> inputs;
    if (woken == kube::WaitResult::kItems) queue_->try_pop_all(inputs);
    for (Input& input : inputs) std::visit([this](auto& what) { take(std::move(what)); }, input);
    pools_.tick(Clock::now());
    lists_.tick(Clock::now());
    if (const auto error = pools_.informer().last_error(); error && is_final(*error))
      return fail(context_, *error);
    report_errors();
    if (!pools_.informer().synced() || !knows_lists()) return std::nullopt;
    if (const auto code = first_look()) return code;
    report_changes();
    draw();
    if (options_.pool.empty() || !shown_.empty()) return std::nullopt;
    context_.console.say(fmt::format("pool {}/{} was deleted", context_.session.ns(), options_.pool));
    return kDone;
  }

  void take(kube::InformerInput<PoolView> input) {
    std::vector<kube::Delta<PoolView>> deltas;
    pools_.step(std::move(input), Clock::now(), deltas);
    for (const auto& delta : deltas) {
      const PoolView& pool = delta.after ? *delta.after : *delta.before;
      touched_.insert({pool.ns, pool.name});
    }
  }

  void take(kube::InformerInput<ListView> input) {
    std::vector<kube::Delta<ListView>> deltas;
    lists_.step(std::move(input), Clock::now(), deltas);
    for (const auto& delta : deltas) {
      const ListView& list = delta.after ? *delta.after : *delta.before;
      pools_.informer().store().for_each([&](const auto& pool) {
        if (pool->ns == list.ns && api::shard_number(pool->config_map, list.name))
          touched_.insert({pool->ns, pool->name});
      });
    }
  }

  std::optional<PoolView> look_at(const kube::ObjectKey& key) {
    const auto pool = pools_.informer().store().find(key);
    if (!pool) return std::nullopt;
    PoolView out = *pool;
    if (const auto list = list_of(*pool)) add_listed(out, *list);
    return out;
  }

  // All of its ConfigMaps. While one of them is missing or cannot be read: the list as it was when none was.
  std::optional<api::EndpointSet> list_of(const PoolView& pool) {
    const kube::ObjectKey key{pool.ns, pool.name};
    std::vector<const api::EndpointSet*> shards;
    for (std::int32_t shard = 1; shard == 1 || shard <= shards.front()->shards; ++shard) {
      const auto part = lists_.informer().store().find({pool.ns, api::shard_name(pool.config_map, shard)});
      if (!part || !part->set || part->set->pool != pool.name || part->set->shard != shard) {
        const auto whole = whole_.find(key);
        return whole == whole_.end() ? std::nullopt : std::optional{whole->second};
      }
      shards.push_back(&*part->set);
    }
    return whole_.insert_or_assign(key, api::join(shards)).first->second;
  }

  void report_changes() {
    const api::Timestamp time = context_.session.now().wall;
    for (const kube::ObjectKey& key : std::exchange(touched_, {})) {
      const auto shown = shown_.find(key);
      const PoolView* before = shown == shown_.end() ? nullptr : &shown->second;
      const std::optional<PoolView> after = look_at(key);
      if (!context_.console.is_terminal()) {
        for (const std::string& line : changes(before, after ? &*after : nullptr, time))
          context_.console.say(fmt::format("{}  {}", api::to_rfc3339(time), line));
      }
      if (after) {
        shown_.insert_or_assign(key, *after);
      } else {
        shown_.erase(key);
        whole_.erase(key);
      }
    }
  }

  std::optional<int> first_look() {
    if (std::exchange(looked_, true) || !pools_.informer().store().empty()) return std::nullopt;
    if (!options_.pool.empty())
      return fail(context_, fmt::format("there is no inferencepools.poolwarden.io {} in namespace {}",
                                        options_.pool, context_.session.ns()));
    if (!context_.console.is_terminal())
      context_.console.warn("there are no inferencepools.poolwarden.io yet; watching");
    return std::nullopt;
  }

  std::vector<PoolView> pools() const {
    std::vector<PoolView> out;
    for (const auto& [key, pool] : shown_) out.push_back(pool);
    return out;
  }

  TerminalText picture(std::size_t width) const {
    const api::Timestamp time = context_.session.now().wall;
    const Paint paint = context_.console.paint();
    const auto seen = pools();
    TerminalText out(paint);
    out.line(api::to_rfc3339(time), Style::kFaint);
    if (!reported_error_.empty()) out.line(cut_to(reported_error_, width), Style::kBad);
    if (!options_.pool.empty() && seen.size() == 1)
      return out.append(status_text(seen.front(), time, paint, width));
    const auto namespaces = options_.all_namespaces ? Namespaces::kAll : Namespaces::kOne;
    out.append(status_table(seen, namespaces, time, paint, width)).end_line();
    return out.append(endpoint_table(seen, namespaces, time, paint, width));
  }

  void draw() {
    if (context_.console.is_terminal()) context_.console.draw(picture(context_.console.window().columns));
  }

  // An API server that is away is waited for: what was last seen stays.
  void report_errors() {
    auto error = pools_.informer().last_error();
    if (!error) error = lists_.informer().last_error();
    const std::string words = error ? one_line(error->message) : std::string{};
    if (words == reported_error_) return;
    reported_error_ = words;
    if (context_.console.is_terminal()) return;
    context_.console.warn(words.empty() ? "the API server answers again" : words + "; trying again");
  }

  int ended(int code) {
    context_.session.on_interrupt({});
    return code;
  }

  Context& context_;
  const WatchOptions& options_;
  std::shared_ptr<Queue> queue_;  // shared with callbacks, which may come late
  Feed<PoolViewCodec> pools_;
  Feed<ListViewCodec> lists_;
  std::set<kube::ObjectKey> touched_;
  std::map<kube::ObjectKey, PoolView> shown_;
  std::map<kube::ObjectKey, api::EndpointSet> whole_;  // lists, as they were last read whole
  std::string reported_error_;
  bool looked_ = false;
};

}  // namespace

int run_watch(Context& context, const WatchOptions& options) {
  if (!options.pool.empty() && options.all_namespaces)
    return usage(context, "watch POOL is about one pool: leave --all-namespaces out, and say -n NAMESPACE");
  return Watch(context, options).run();
}

}  // namespace poolwarden::commands

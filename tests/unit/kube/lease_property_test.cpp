// Several electors, one Lease, and a network that delays, drops and doubts everything: never two of them
// valid at once, and a leader in the end. Each run is one seed; a failure names it.
#include "lease_bench.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using namespace std::chrono_literals;
using nlohmann::json;

// The one Lease, as the API server keeps it.
class LeaseServer {
 public:
  Result<std::string> apply(const Call& call) {
    if (call.verb == Verb::kGet) {
      return lease_ ? Result<std::string>(lease_->dump()) : fail(ErrorClass::kNotFound, 404, "NotFound");
    }
    json wanted = json::parse(call.body);
    EXPECT_EQ(call.guarded, call.verb == Verb::kUpdate);
    if (call.verb == Verb::kCreate) {
      if (lease_) {
        return fail(ErrorClass::kConflict, 409, "AlreadyExists");
      }
      wanted["metadata"]["uid"] = "uid-" + std::to_string(++uids_);
      return store(std::move(wanted));
    }
    if (!lease_) {
      return fail(ErrorClass::kNotFound, 404, "NotFound");
    }
    if (wanted["metadata"]["resourceVersion"] != (*lease_)["metadata"]["resourceVersion"] ||
        wanted["metadata"]["uid"] != (*lease_)["metadata"]["uid"]) {
      return fail(ErrorClass::kConflict, 409, "Conflict");
    }
    return store(std::move(wanted));
  }
  void relabel() {  // someone touches it without meaning to take part
    if (lease_) {
      (*lease_)["metadata"]["labels"]["touched"] = std::to_string(version_);
      store(*lease_);
    }
  }

 private:
  Result<std::string> store(json lease) {
    lease["metadata"]["resourceVersion"] = std::to_string(++version_);
    lease_ = std::move(lease);
    return lease_->dump();
  }
  static Result<std::string> fail(ErrorClass cls, int status, std::string reason) {
    return tl::unexpected(lease_error(cls, status, std::move(reason)));
  }

  std::optional<json> lease_;
  int version_ = 0;
  int uids_ = 0;
};

struct Weather {
  double drop = 0;         // of requests and of answers
  Duration slowest{};      // one way
  double touched = 0;      // chance of a foreign write at a step
  double stall = 0;        // chance that an elector's loop stands still for a while
  double exit = 0;         // chance that a leader releases and a new process starts
  bool far_apart = false;  // every second process has a fast network
  double crash = 0;        // chance that a process dies, and another takes its place and its name
};

class World {
 public:
  World(unsigned seed, std::size_t electors) : random_(seed) {
    for (std::size_t i = 0; i < electors; ++i) {
      nodes_.push_back(start());
    }
  }

  void run(Duration time, const Weather& weather) {
    weather_ = weather;
    const TimePoint end = now_ + time;
    while (now_ < end && !failed_) {
      step(end);
    }
  }
  std::size_t leaders() const {
    return static_cast<std::size_t>(
        std::count_if(nodes_.begin(), nodes_.end(), [&](const Node& node) { return valid(node); }));
  }
  bool failed() const { return failed_; }
  int elections() const { return elections_; }

 private:
  struct Node {
    std::unique_ptr<LeaseElector> elector;
    std::uint64_t generation = 0;
    std::string identity;
    Duration offset{};  // its monotonic clock against the world's
    Duration wall_offset{};
    TimePoint awake{};  // its loop stands still until then
  };

  Node start() { return start("process-" + std::to_string(generations_ + 1)); }
  Node start(const std::string& identity) {
    Node node;
    node.generation = ++generations_;
    node.identity = identity;
    node.offset = std::chrono::seconds(random_() % 100'000);
    node.wall_offset = std::chrono::seconds(random_() % 100'000) - 50'000s;
    LeaseConfig config = lease_config(identity);
    config.outlives_process = true;
    node.elector = std::make_unique<LeaseElector>(std::move(config), [this] { return chance(); });
    node.awake = now_ + random_time(1s);
    return node;
  }
  double chance() { return std::uniform_real_distribution<double>(0, 1)(random_); }
  Duration random_time(Duration limit) {
    return Duration(std::uniform_int_distribution<Duration::rep>(0, limit.count())(random_));
  }
  TimePoint mono(const Node& node) const { return now_ + node.offset; }
  WallTime wall(const Node& node) const {
    return WallTime{} +
           std::chrono::duration_cast<WallTime::duration>(now_.time_since_epoch() + node.wall_offset);
  }
  bool valid(const Node& node) const { return node.elector->valid(mono(node)); }
  void later(Duration delay, std::function<void()> what) {
    events_.emplace(std::pair(now_ + delay, ++sequence_), std::move(what));
  }

  // To the next thing that happens; then every elector that is awake and due looks at its clock.
  void step(TimePoint end) {
    TimePoint next = end;
    for (const Node& node : nodes_) {
      if (const auto due = node.elector->next_deadline()) {
        next = std::min(next, std::max({*due - node.offset, node.awake, now_ + 1us}));
      }
    }
    if (!events_.empty()) {
      next = std::min(next, std::max(now_, events_.begin()->first.first));
    }
    now_ = next;
    check();
    while (!events_.empty() && events_.begin()->first.first <= now_) {
      auto event = events_.extract(events_.begin());
      event.mapped()();
      check();
    }
    for (Node& node : nodes_) {
      const auto due = node.elector->next_deadline();
      if (due && now_ >= node.awake && mono(node) >= *due) {
        carry_out(node, node.elector->tick(mono(node), wall(node)));
        check();
      }
    }
    disturb();
  }

  void disturb() {
    if (chance() < weather_.touched) {
      server_.relabel();
    }
    for (Node& node : nodes_) {
      if (chance() < weather_.stall) {
        node.awake = now_ + random_time(30s);
      }
      // What it had sent is on its way all the same.
      if (weather_.crash > 0 && chance() < weather_.crash) {
        node = start(node.identity);
      }
      if (chance() < weather_.exit && valid(node) && now_ >= node.awake) {
        carry_out(node, node.elector->release(mono(node), wall(node)));
        check();
      }
    }
  }

  void carry_out(Node& node, std::vector<LeaseOutput> outputs) {
    bool gone = false;
    for (LeaseOutput& output : outputs) {
      if (auto* send = std::get_if<SendLeaseCall>(&output)) {
        transmit(node.generation, std::move(*send));
      } else if (std::holds_alternative<BecameLeader>(output)) {
        ++elections_;
      } else {
        gone = true;
      }
    }
    if (gone) {
      node = start();  // the process exits and the cluster starts another
    }
  }

  void transmit(std::uint64_t generation, SendLeaseCall send) {
    if (chance() < weather_.drop) {
      return;
    }
    const Duration slowest = weather_.far_apart && generation % 2 == 0 ? 20ms : weather_.slowest;
    later(random_time(slowest), [this, generation, sent = std::move(send)] {
      const Result<std::string> answer = server_.apply(sent.call);
      if (chance() < weather_.drop) {
        return;
      }
      later(random_time(weather_.slowest),
            [this, generation, attempt = sent.attempt, answer] { deliver(generation, attempt, answer); });
    });
  }

  void deliver(std::uint64_t generation, std::uint64_t attempt, const Result<std::string>& answer) {
    for (Node& node : nodes_) {
      if (node.generation != generation) {
        continue;
      }
      if (now_ < node.awake) {  // a loop that stands still sees it later
        later(node.awake - now_, [=, this] { deliver(generation, attempt, answer); });
      } else {
        carry_out(node, node.elector->answer(attempt, answer, mono(node), wall(node)));
      }
      return;
    }
  }

  void check() {
    if (leaders() > 1) {
      failed_ = true;
    }
  }

  std::mt19937 random_;
  Weather weather_;
  LeaseServer server_;
  TimePoint now_ = kLeaseStart;
  std::vector<Node> nodes_;
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t sequence_ = 0;
  std::uint64_t generations_ = 0;
  int elections_ = 0;
  bool failed_ = false;
};

constexpr unsigned kSeeds = 12;

struct PropertyRow {
  const char* name;
  Weather weather;
};

const PropertyRow kPropertyRows[] = {
    {"calm", {0, 50ms, 0, 0, 0}},
    {"slow, near the renew deadline", {0, 6s, 0, 0, 0.001}},
    {"slower than any deadline", {0, 20s, 0, 0, 0}},
    {"half of everything is lost", {0.5, 500ms, 0, 0, 0.001}},
    {"processes stand still", {0.1, 200ms, 0, 0.01, 0.001}},
    {"one has a slow, lossy network and stands still", {0.5, 2500ms, 0, 0.006, 0, true}},
    {"others touch the Lease", {0.05, 200ms, 0.2, 0, 0.001}},
    {"leaders come and go", {0.02, 100ms, 0, 0, 0.05}},
    {"processes die and come back", {0.05, 200ms, 0, 0.002, 0.001, false, 0.02}},
    {"they do, on a network that is slow", {0.1, 4s, 0.05, 0.002, 0.001, false, 0.01}},
    {"all of it", {0.2, 4s, 0.05, 0.005, 0.01, false, 0.005}},
};

TEST(LeaseProperty, NeverTwoLeadersAndAlwaysOneInTheEnd) {
  for (const PropertyRow& row : kPropertyRows) {
    int elections = 0;
    for (unsigned seed = 1; seed <= kSeeds; ++seed) {
      World world(seed, 2 + seed % 2);
      world.run(10min, row.weather);
      ASSERT_FALSE(world.failed()) << "two leaders: " << row.name << ", seed " << seed;
      world.run(2min, Weather{0, 50ms, 0, 0, 0});
      ASSERT_FALSE(world.failed()) << "two leaders: " << row.name << ", seed " << seed << ", in good weather";
      ASSERT_EQ(world.leaders(), 1U) << "no leader: " << row.name << ", seed " << seed;
      elections += world.elections();
    }
    EXPECT_GE(elections, static_cast<int>(kSeeds)) << row.name;
  }
}

}  // namespace
}  // namespace poolwarden::kube

// A cluster whose pods come, fail, terminate and lose their label, an operator that writes its list late or
// not at all, and a gateway that hears of both at different times: many lives, each from a seed. What the
// gateway may not do is asserted after each step, agreement at the end.
#include "gateway/fallen_pods.h"
#include "gateway/gateway_core.h"
#include "haproxy_model.h"
#include "support/seeds.h"

#include <deque>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using PodPtr = std::shared_ptr<const api::Pod>;

class PodsLife {
 public:
  explicit PodsLife(unsigned seed) : random_(seed) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      now_ += std::chrono::milliseconds(1 + pick(100));
      for (unsigned n = pick(3); n > 0; --n) change_a_pod();
      if (pick(6) == 0) write_list();
      while (!pod_events_.empty() && pick(3) != 0) hear_of_a_pod();
      while (!lists_.empty() && pick(3) != 0) hear_of_a_list();
      answer_questions();
      rest();
      ASSERT_NO_FATAL_FAILURE(never());
    }
    write_list();
    while (!pod_events_.empty()) hear_of_a_pod();
    while (!lists_.empty()) hear_of_a_list();
    for (int i = 0; i < 100; ++i) {
      now_ += 100ms;
      answer_questions();
      rest();
    }
    EXPECT_EQ(serving(), listed(list_)) << "at rest it agrees with the list";
    EXPECT_TRUE(fallen_.fallen().empty());
  }

 private:
  struct Published {
    api::EndpointSet set;
    std::string pods_version;
  };

  unsigned pick(unsigned below) { return static_cast<unsigned>(random_()) % below; }
  static std::string name_of(unsigned number) { return "p" + std::to_string(number); }

  void tell(PodPtr before, PodPtr after) {
    const bool was = before && before->serving;
    const bool is = after && after->serving;
    if (!was && !is) return;
    // As a watch with a selector has it: what does not match any more has ended.
    pod_events_.push_back(
        {was ? (is ? kube::DeltaKind::kModified : kube::DeltaKind::kDeleted) : kube::DeltaKind::kAdded,
         was ? std::move(before) : nullptr, is ? std::move(after) : nullptr, now_});
  }

  void change_a_pod() {
    const std::string name = name_of(1 + pick(6));
    PodPtr& held = cluster_[name];
    ++version_;
    if (!held) return born(name);
    api::Pod next = *held;
    next.resource_version = std::to_string(version_);
    switch (pick(7)) {
      case 0:
        next.ready = next.containers_ready = api::Tristate::kFalse;
        break;
      case 1:
        next.ready = api::Tristate::kUnknown;
        break;
      case 2:
        next.deletion_timestamp = api::Timestamp{} + 24h;
        break;
      case 3:
        if (next.serving) {
          next.serving.reset();
        } else {
          next.serving = "true";
        }
        break;
      case 4: {
        // Gone, as a rule after it terminated; by force without.
        if (!next.deletion_timestamp && pick(3) != 0) break;
        const PodPtr before = std::move(held);
        held = nullptr;
        return tell(before, nullptr);
      }
      default:
        next.ready = next.containers_ready = api::Tristate::kTrue;
        break;
    }
    PodPtr before = std::move(held);
    held = std::make_shared<const api::Pod>(std::move(next));
    tell(std::move(before), held);
  }

  void born(const std::string& name) {
    api::Pod pod;
    pod.ns = "default";
    pod.name = name;
    pod.uid = "uid-" + std::to_string(version_);
    pod.resource_version = std::to_string(version_);
    pod.labels = std::make_shared<const api::Labels>();
    pod.node = std::make_shared<const std::string>("node");
    pod.controller = std::make_shared<const std::string>();
    pod.ip = "10.0.0." + name.substr(1);
    pod.phase = api::PodPhase::kRunning;
    pod.ready = pod.containers_ready = api::Tristate::kTrue;
    if (pick(4) != 0) pod.serving = "true";
    cluster_[name] = std::make_shared<const api::Pod>(std::move(pod));
    tell(nullptr, cluster_[name]);
  }

  // An operator that sees the pods as they are now. It keeps those whose kubelet is not heard of.
  void write_list() {
    Published next{list_of(++revision_, {}), std::to_string(version_)};
    for (const auto& [name, pod] : cluster_) {
      if (!pod || pod->deletion_timestamp || pod->ready == api::Tristate::kFalse) continue;
      api::Endpoint listed = endpoint(name, pod->ip);
      listed.uid = pod->uid;
      next.set.endpoints.push_back(listed);
    }
    lists_.push_back(std::move(next));
  }

  void hear_of_a_pod() {
    const kube::Delta<api::Pod> delta = std::move(pod_events_.front());
    pod_events_.pop_front();
    const PodPtr& known = delta.after ? delta.after : delta.before;
    if (delta.after) {
      heard_[known->name] = delta.after;
    } else {
      heard_.erase(known->name);
    }
    fallen_.pod_seen(delta, now_);
    tell_core();
  }

  void hear_of_a_list() {
    const Published list = std::move(lists_.front());
    lists_.pop_front();
    list_ = list.set;
    list_version_ = list.pods_version;
    fallen_.list_seen(list.set, {list.pods_version, list.pods_version});
    tell_core();
    feed(core_.step(input::ListSeen{list.set, now_, {list.set.revision}}, now_));
  }

  void tell_core() {
    std::set<std::string> uids;
    for (const auto& [uid, reason] : fallen_.fallen()) uids.insert(uid);
    feed(core_.step(input::PodsFell{uids, now_}, now_));
  }

  // The API server is asked, and knows what is true now.
  void answer_questions() {
    for (const std::string& name : fallen_.take_questions(now_)) {
      if (pick(4) == 0) {
        fallen_.ask_again(name, now_);
        continue;
      }
      const auto found = cluster_.find(name);
      fallen_.answered(name, found == cluster_.end() ? nullptr : found->second.get());
      tell_core();
    }
  }

  void rest() {
    for (int i = 0; i < 20; ++i) {
      now_ += 500ms;
      feed(core_.step(input::Tick{}, now_));
    }
    ASSERT_EQ(core_.state_name(), revision_heard() ? "resting" : "awaiting-list");
  }
  bool revision_heard() const { return list_.revision > 0; }

  void feed(std::vector<CoreEffect> effects) {
    while (!effects.empty()) {
      std::vector<CoreEffect> next;
      for (const CoreEffect& effect : effects) {
        std::optional<CoreInput> answer;
        if (const auto* observe = std::get_if<effect::Observe>(&effect))
          answer = input::Observed{observe->attempt, observed(haproxy_.snapshot())};
        if (const auto* apply = std::get_if<effect::Apply>(&effect)) {
          std::vector<std::optional<std::string>> refusals;
          for (const Command& command : apply->commands)
            refusals.push_back(refusal_of(command, haproxy_.carry_out(command.text)));
          answer = input::Answered{apply->attempt, std::move(refusals)};
        }
        if (!answer) continue;
        auto more = core_.step(*answer, now_);
        next.insert(next.end(), more.begin(), more.end());
      }
      effects = std::move(next);
    }
  }

  std::set<std::string> serving() const {
    std::set<std::string> out;
    for (const ObservedServer& server : haproxy_.servers) {
      if (server.admin == AdminState::kReady && server.address && server.address->ip.starts_with("10.0."))
        out.insert(server.address->ip);
    }
    return out;
  }
  static std::set<std::string> listed(const api::EndpointSet& list) {
    std::set<std::string> out;
    for (const api::Endpoint& endpoint : list.endpoints) out.insert(endpoint.ip);
    return out;
  }

  void never() {
    const std::set<std::string> sent = serving();
    const std::set<std::string> allowed = listed(list_);
    for (const std::string& ip : sent) ASSERT_TRUE(allowed.contains(ip)) << ip << " is not on the list";
    for (const api::Endpoint& endpoint : list_.endpoints) {
      const auto found = heard_.find(endpoint.pod);
      if (found == heard_.end() || found->second->uid != endpoint.uid) continue;
      const api::Pod& pod = *found->second;
      const bool well = !pod.deletion_timestamp && pod.ready == api::Tristate::kTrue;
      if (well) {
        ASSERT_TRUE(sent.contains(endpoint.ip)) << endpoint.pod << " is listed and well";
      }
      const bool newer = std::stoll(pod.resource_version) > std::stoll(list_version_);
      if (newer && pod.deletion_timestamp) {
        ASSERT_FALSE(sent.contains(endpoint.ip)) << endpoint.pod << " terminates";
      }
      if (pod.ready == api::Tristate::kUnknown && !pod.deletion_timestamp) {
        ASSERT_TRUE(sent.contains(endpoint.ip)) << endpoint.pod << " is only not heard of";
      }
    }
  }

  std::mt19937 random_;
  kube::TimePoint now_{1h};
  std::int64_t version_ = 10;
  std::int64_t revision_ = 0;
  std::map<std::string, PodPtr> cluster_;  // as it is
  std::deque<kube::Delta<api::Pod>> pod_events_;
  std::deque<Published> lists_;
  std::map<std::string, PodPtr> heard_;  // as the gateway knows it
  api::EndpointSet list_{"default", "vllm", 0, {}};
  std::string list_version_ = "0";
  FallenPods fallen_{[this](const std::string& name) {
    const auto found = heard_.find(name);
    return found == heard_.end() ? nullptr : found->second;
  }};
  GatewayCore core_{{"HAProxy", 500ms}};
  HaproxyModel haproxy_{12};
};

TEST(GatewayPodsLife, NeverSendsWhereItMustNotAndAgreesInTheEnd) {
  for (unsigned seed = 1; seed <= test::seeds(150); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    PodsLife(seed).run(120);
    if (testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace poolwarden::gateway

#include "control/operator_core.h"

#include "parts.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace poolwarden::control {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using namespace std::chrono_literals;

constexpr char kLeaseName[] = "operator-lease";

// Pools "a" and "b" with a pod each, which their lists name; everything is read, and nothing is left to do.
class OperatorCoreStep : public ::testing::Test {
 protected:
  explicit OperatorCoreStep(bool elects = false) : core_(options(elects), metrics_) {}

  void SetUp() override {
    metrics_.on_pass = [this] { spent_ += pass_takes_; };
    perform(core_.start(now_));
    for (int i = 0; i < 3; ++i) step();  // the Lease is ours
    list<Pools>({made_pool("a", "app-a"), made_pool("b", "app-b")});
    list<ConfigMaps>({made_list(made_pool("a", "app-a"), {"p"}), made_list(made_pool("b", "app-b"), {"q"})});
    list<Pods>({made_pod("p", "app-a"), made_pod("q", "app-b")});
    list<Nodes>({made_node("node-1")});
    WatchedKinds::for_each([this]<class Kind>() {
      if (!listed_.contains(WatchedKinds::index<Kind>())) list<Kind>({});
    });
    for (int i = 0; i < 3; ++i) step();
  }

  template <class Kind>
  void list(std::vector<typename Kind::Object> items) {
    kube::ListPage<typename Kind::Object> page;
    for (auto& item : items) item.resource_version = std::to_string(++version_);
    page.items = std::move(items);
    page.resource_version = std::to_string(++version_);
    listed_.insert(WatchedKinds::index<Kind>());
    arrive<Kind>(typename kube::InformerInput<typename Kind::Object>::ListArrived{std::move(page)});
    step();
  }
  template <class Kind>
  void see(typename Kind::Object object) {
    typename kube::InformerInput<typename Kind::Object>::WatchArrived arrived;
    const std::string version = object.resource_version = std::to_string(++version_);
    arrived.events.push_back({kube::WatchEventType::kModified, std::move(object), version});
    arrive<Kind>(std::move(arrived));
  }
  // One turn of the loop: what it sends.
  std::vector<std::string> step() {
    spent_ = {};
    metrics_.passes.clear();
    return perform(core_.step(inputs_, now_));
  }
  // The pools that the last step made a pass over.
  const std::vector<std::string>& passes() const { return metrics_.passes; }
  // A pool that does not change what others select, and has to be looked at.
  void change(const std::string& pool) {
    api::InferencePool changed = made_pool(pool, "app-" + pool);
    changed.generation = ++version_;
    see<Pools>(changed);
  }
  bool has_more_to_do() const { return core_.next_deadline() == kube::TimePoint::min(); }

  api::Now now_{.mono = Parts::kStart, .wall = api::Timestamp{std::chrono::seconds(1'700'000'000)}};
  kube::Duration pass_takes_{};  // by the stopwatch
  bool renews_ = true;           // what is asked about the Lease is answered at once
  std::vector<Input> inputs_;
  std::vector<Input> held_back_;  // answers about the Lease that have not come

 private:
  CoreOptions options(bool elects) {
    CoreOptions out;
    out.leader_elect = elects;
    out.lease.identity = "operator-0";
    out.lease.ns = "default";
    out.lease.name = kLeaseName;
    out.stopwatch = [this] { return now_.mono + spent_; };
    return out;
  }
  std::vector<std::string> perform(const Effects& out) {
    work_.insert(work_.end(), out.watches.begin(), out.watches.end());
    std::vector<std::string> sent;
    for (const Send& send : out.sends) {
      if (send.call.type.plural == kube::kLeases.plural) {
        (renews_ ? inputs_ : held_back_).push_back(CallAnswered{send.id, lease(send.call)});
        continue;
      }
      sent.push_back(fmt::format("{} {}", kube::to_string(send.call.verb), send.call.name));
    }
    return sent;
  }
  // There is none but what we write.
  kube::Result<Answer> lease(const kube::Call& call) {
    if (call.verb == kube::Verb::kGet)
      return tl::unexpected(made_error(kube::ErrorClass::kNotFound, 404, "NotFound", "there is no Lease"));
    auto body = nlohmann::json::parse(call.body);
    body["metadata"]["uid"] = "lease-uid";
    body["metadata"]["resourceVersion"] = std::to_string(++version_);
    return Answer(body.dump());
  }

  template <class Kind, class What>
  void arrive(What what) {
    inputs_.push_back(KindInput<Kind>{{attempt<Kind>(), now_.mono, std::move(what)}});
  }
  template <class Kind>
  std::uint64_t attempt() const {
    std::uint64_t newest = 0;
    for (const WatchWork& work : work_) {
      if (work.kind != WatchedKinds::index<Kind>()) continue;
      if (const auto* list = std::get_if<kube::StartList>(&work.action)) newest = list->attempt;
      if (const auto* watch = std::get_if<kube::StartWatch>(&work.action)) newest = watch->attempt;
    }
    return newest;
  }

  NotedMetrics metrics_;
  kube::Duration spent_{};  // of the step that is under way
  OperatorCore core_;
  std::vector<WatchWork> work_;
  std::set<std::size_t> listed_;
  int version_ = 100;
};

class ElectedCoreStep : public OperatorCoreStep {
 protected:
  ElectedCoreStep() : OperatorCoreStep(true) {}
};

TEST_F(OperatorCoreStep, Withdrawal_LeavesBeforeTheNextPool) {
  now_.mono += std::chrono::seconds(10);
  change("b");
  see<Pods>(unready(made_pod("p", "app-a")));
  EXPECT_THAT(step(), ElementsAre("update a-endpoints"));
  EXPECT_TRUE(has_more_to_do());
  EXPECT_THAT(step(), Not(Contains("update a-endpoints"))) << "and the other's turn has come";
  EXPECT_FALSE(has_more_to_do());
}

// However many of one namespace there are, and however long they have waited.
TEST_F(OperatorCoreStep, ManyWithdrawalsOfANamespace_AnothersIsTheSecond) {
  const auto in_noisy = [](auto object) {
    object.ns = "noisy";
    object.uid = "noisy-" + object.uid;
    return object;
  };
  constexpr int kPools = 50;
  for (int i = 0; i < kPools; ++i) {
    const std::string name = fmt::format("n{}", i);
    const api::InferencePool pool = in_noisy(made_pool(name, "app-" + name));
    see<Pools>(pool);
    see<ConfigMaps>(made_list(pool, {name + "-pod"}));
    api::Pod pod = made_pod(name + "-pod", "app-" + name);
    pod.ns = "noisy";
    see<Pods>(pod);
  }
  for (int i = 0; i < 3; ++i) step();
  now_.mono += 10s;
  for (int i = 0; i < 3; ++i) step();
  for (int i = 0; i < kPools; ++i) {
    const std::string name = fmt::format("n{}", i);
    api::Pod pod = unready(made_pod(name + "-pod", "app-" + name));
    pod.ns = "noisy";
    see<Pods>(pod);
  }
  see<Pods>(unready(made_pod("p", "app-a")));
  const std::vector<std::string> sent = step();
  ASSERT_GE(sent.size(), 2U);
  EXPECT_EQ(sent[1], "update a-endpoints") << "the other namespace's first is " << sent[0];
}

TEST_F(OperatorCoreStep, PassesTakeLong_StepEndsWithItsBudget) {
  for (const char* pool : {"c", "d", "e"}) see<Pools>(made_pool(pool, std::string("app-") + pool));
  for (int i = 0; i < 3; ++i) step();
  now_.mono += 10s;
  for (const char* pool : {"a", "b", "c", "d", "e"}) change(pool);
  pass_takes_ = 8ms;
  step();
  EXPECT_THAT(passes(), ElementsAre("a", "b", "c")) << "a pass that has begun is ended, and no other begins";
  EXPECT_TRUE(has_more_to_do());
  step();
  EXPECT_THAT(passes(), ElementsAre("d", "e"));
  EXPECT_FALSE(has_more_to_do());
}

// Leadership is for as long as the Lease lasts, less the time that a write may take.
TEST_F(ElectedCoreStep, LeaseEndsDuringAStep_NothingMoreIsDecided) {
  renews_ = false;
  now_.mono += 4'990ms;
  change("a");
  change("b");
  pass_takes_ = 11ms;
  EXPECT_THAT(step(), IsEmpty()) << "nor is what the first pass wants written";
  EXPECT_THAT(passes(), ElementsAre("a"));
  EXPECT_FALSE(has_more_to_do()) << "until the Lease is renewed";
}

TEST_F(ElectedCoreStep, LeaseIsRenewed_WhatWasLeftIsDecided) {
  renews_ = false;
  now_.mono += 4'990ms;
  change("a");
  change("b");
  pass_takes_ = 11ms;
  step();
  inputs_.swap(held_back_);
  now_.mono += 10ms;
  pass_takes_ = {};
  step();
  EXPECT_THAT(passes(), ::testing::UnorderedElementsAre("a", "b"));
}

}  // namespace
}  // namespace poolwarden::control

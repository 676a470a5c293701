#include "control/operator_core.h"

#include "parts.h"

#include <gmock/gmock.h>

namespace poolwarden::control {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

// Pools "a" and "b" with a pod each, which their lists name; everything is read, and nothing is left to do.
class OperatorCoreStep : public ::testing::Test {
 protected:
  void SetUp() override {
    work_ = core_.start(now_).watches;
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
    const Effects out = core_.step(inputs_, now_);
    work_.insert(work_.end(), out.watches.begin(), out.watches.end());
    std::vector<std::string> sent;
    for (const Send& send : out.sends)
      sent.push_back(fmt::format("{} {}", kube::to_string(send.call.verb), send.call.name));
    return sent;
  }
  bool has_more_to_do() const { return core_.next_deadline() == kube::TimePoint::min(); }

  api::Now now_{.mono = Parts::kStart, .wall = api::Timestamp{std::chrono::seconds(1'700'000'000)}};

 private:
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
  OperatorCore core_{CoreOptions{}, metrics_};
  std::vector<WatchWork> work_;
  std::set<std::size_t> listed_;
  std::vector<Input> inputs_;
  int version_ = 100;
};

TEST_F(OperatorCoreStep, Withdrawal_LeavesBeforeTheNextPool) {
  now_.mono += std::chrono::seconds(10);
  api::InferencePool changed = made_pool("b", "app-b");
  changed.generation = 2;
  see<Pools>(changed);
  see<Pods>(unready(made_pod("p", "app-a")));
  EXPECT_THAT(step(), ElementsAre("update a-endpoints"));
  EXPECT_TRUE(has_more_to_do());
  EXPECT_THAT(step(), Not(Contains("update a-endpoints"))) << "and the other's turn has come";
  EXPECT_FALSE(has_more_to_do());
}

}  // namespace
}  // namespace poolwarden::control

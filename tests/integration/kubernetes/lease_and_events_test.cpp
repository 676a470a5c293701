// Leader election and Events over a real API server, in real time.
#include "kube/bounded_queue.h"
#include "kube/event_recorder.h"
#include "kube/lease.h"
#include "real_cluster.h"

#include <thread>
#include <utility>
#include <vector>

namespace poolwarden::test {
namespace {

using kube::kEvents;
using kube::kLeases;
using std::chrono::steady_clock;
using std::chrono::system_clock;

// Short, and still longer than a busy API server takes for an answer.
constexpr auto kTerm = 6s;

// An elector with its calls, on the caller's thread.
class Candidate {
 public:
  Candidate(const std::string& identity, const std::string& lease)
      : elector_({identity, ns(), lease, false, kTerm, 4s, 500ms}, kube::seeded_random(1)) {}

  void step() {
    std::vector<std::pair<std::uint64_t, kube::Result<std::string>>> answers;
    answers_->try_pop_all(answers);
    for (const auto& [attempt, body] : answers) {
      take(elector_.answer(attempt, body, steady_clock::now(), system_clock::now()));
    }
    const auto due = elector_.next_deadline();
    if (!started_ || (due && *due <= steady_clock::now())) {
      take(elector_.tick(steady_clock::now(), system_clock::now()));
    }
    started_ = true;
  }
  void release() { take(elector_.release(steady_clock::now(), system_clock::now())); }
  bool leads() const { return elector_.valid(steady_clock::now()); }
  bool released() const { return std::holds_alternative<kube::Released>(elector_.state()); }
  bool lost() const { return std::holds_alternative<kube::Lost>(elector_.state()); }

 private:
  void take(std::vector<kube::LeaseOutput> outputs) {
    for (auto& output : outputs) {
      if (auto* call = std::get_if<kube::SendLeaseCall>(&output)) {
        client_.send(call->call, [answers = answers_, attempt = call->attempt](auto body) {
          [[maybe_unused]] const bool in = answers->push({attempt, std::move(body)});
        });
      }
    }
  }

  using Answers = kube::BoundedQueue<std::pair<std::uint64_t, kube::Result<std::string>>>;
  std::shared_ptr<Answers> answers_ = std::make_shared<Answers>(100);
  kube::Client client_{Cluster::instance().transport()};
  kube::LeaseElector elector_;
  bool started_ = false;
};

bool run(const std::vector<Candidate*>& candidates, const std::function<bool()>& done,
         std::chrono::seconds patience) {
  const auto give_up = steady_clock::now() + patience;
  while (!done()) {
    if (steady_clock::now() >= give_up) return false;
    int leaders = 0;
    for (Candidate* candidate : candidates) {
      candidate->step();
      leaders += candidate->leads() ? 1 : 0;
    }
    EXPECT_LE(leaders, 1);
    std::this_thread::sleep_for(20ms);
  }
  return true;
}

TEST(RealLease, IsHeldHandedOverAndTakenFromTheDead) {
  Candidate a("a", "election");
  Candidate b("b", "election");
  ASSERT_TRUE(run(
      {&a}, [&] { return a.leads(); }, 20s));
  const auto holder = [] {
    return document(send(kube::get(kLeases, ns(), "election")))
        .value("/spec/holderIdentity"_json_pointer, "");
  };
  EXPECT_EQ(holder(), "a");
  // Through two terms; someone's label does not disturb it.
  const auto later = steady_clock::now() + 2 * kTerm;
  document(send(kube::merge_patch(kLeases, ns(), "election", R"({"metadata":{"labels":{"x":"y"}}})")));
  ASSERT_TRUE(run(
      {&a, &b}, [&] { return steady_clock::now() >= later; }, 30s));
  EXPECT_TRUE(a.leads());

  a.release();
  const auto handed_over = steady_clock::now();
  ASSERT_TRUE(run(
      {&a, &b}, [&] { return a.released() && b.leads(); }, 20s));
  EXPECT_LT(steady_clock::now() - handed_over, kTerm - 2s) << "no need to wait for the term's end";
  EXPECT_EQ(holder(), "b");

  // b dies; c must wait for its term to end.
  Candidate c("c", "election");
  const auto died = steady_clock::now();
  ASSERT_TRUE(run(
      {&c}, [&] { return c.leads(); }, 30s));
  EXPECT_GE(steady_clock::now() - died, kTerm - 2s);
  EXPECT_EQ(holder(), "c");
  EXPECT_FALSE(b.leads());
  ASSERT_TRUE(run(
      {&b}, [&] { return b.lost(); }, 20s))
      << "what it wrote since is refused";
}

TEST(RealLease, SurvivesItsDeletion) {
  Candidate a("a", "deleted");
  ASSERT_TRUE(run(
      {&a}, [&] { return a.leads(); }, 20s));
  document(send(kube::remove(kLeases, ns(), "deleted", {})));
  ASSERT_TRUE(run(
      {&a}, [&] { return send(kube::get(kLeases, ns(), "deleted")).has_value(); }, 20s));
  EXPECT_TRUE(a.leads());
}

// Makes what the recorder wants made, until it wants nothing now.
void write_all(kube::EventRecorder& recorder) {
  while (auto call = recorder.next(steady_clock::now())) {
    const auto answer = send(call->call);
    EXPECT_TRUE(answer) << answer.error().message;
    recorder.finished(call->id, answer, steady_clock::now());
  }
}

json events_of(const std::string& reason) {
  kube::Call list;
  list.verb = kube::Verb::kList;
  list.type = kEvents;
  list.ns = ns();
  json found = json::array();
  for (const json& event : document(send(list)).value("items", json::array())) {
    if (event.value("reason", "") == reason) found.push_back(event);
  }
  return found;
}

TEST(RealEvents, ARepeatBecomesASeries) {
  const json about = made(kube::kConfigMaps, config_map("about", {}));
  const kube::EventTarget target{
      "ConfigMap", "v1", ns(), "about", about["metadata"]["uid"], about["metadata"]["resourceVersion"]};
  kube::EventRecorder recorder("kube-real-test");
  for (int i = 0; i < 3; ++i) {
    recorder.record(target, kube::EventType::kWarning, "Repeated", "Test", "f\xC3\xBCr alle",
                    steady_clock::now(), system_clock::now());
    write_all(recorder);
  }
  const json events = events_of("Repeated");
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0]["note"], "f\xC3\xBCr alle");
  EXPECT_EQ(events[0]["regarding"]["name"], "about");
  EXPECT_EQ(events[0]["series"]["count"], 2) << "the third waits until it is worth a write";
  EXPECT_EQ(events[0]["reportingController"], "poolwarden.io/operator");
}

// The longest of everything that the recorder lets through is still taken by the API server.
TEST(RealEvents, AnythingTheRecorderLetsThroughIsAccepted) {
  const std::string name = std::string(100, 'n') + "." + std::string(150, 'm');
  const kube::EventTarget target{"ConfigMap", "v1", ns(), name, "uid", "1"};
  kube::EventRecorder recorder(std::string(300, 'i'));
  recorder.record(target, kube::EventType::kNormal, "Long" + std::string(300, 'r'), std::string(300, 'a'),
                  std::string(3000, 'x') + "\xFF", steady_clock::now(), system_clock::now());
  recorder.record(target, kube::EventType::kNormal, "NotUtf8", "Test", "what \xFF said", steady_clock::now(),
                  system_clock::now());
  write_all(recorder);
  EXPECT_EQ(recorder.stats().created, 2U);
  EXPECT_EQ(recorder.stats().dropped_failed, 0U);
  EXPECT_EQ(events_of("NotUtf8").size(), 1U);
}

TEST(RealEvents, AboutAnObjectWithoutANamespace) {
  kube::EventRecorder recorder("kube-real-test");
  const kube::EventTarget target{"Node", "v1", "", "no-such-node", "", ""};
  recorder.record(target, kube::EventType::kNormal, "KubeLayerTest", "Test", "of a test", steady_clock::now(),
                  system_clock::now());
  write_all(recorder);
  EXPECT_EQ(recorder.stats().created, 1U);
}

}  // namespace
}  // namespace poolwarden::test

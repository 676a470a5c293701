// The promise, under load: replicas are withdrawn, killed without notice and replaced while eight clients ask
// without pause. No request fails.
#include "gateway_bench.h"
#include "http_client.h"

#include <atomic>
#include <mutex>
#include <random>

#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;

class Clients {
 public:
  explicit Clients(const HaproxyProcess& haproxy) {
    for (int i = 0; i < 8; ++i) {
      threads_.emplace_back([this, &haproxy] {
        HttpClient client(haproxy.ip(), HaproxyProcess::kPort);
        while (!over_) ask(client);
      });
    }
  }
  ~Clients() { stop(); }
  void stop() {
    over_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  int answered() const { return answered_; }
  std::vector<std::string> failures() {
    const std::lock_guard lock(mutex_);
    return failures_;
  }

 private:
  void ask(HttpClient& client) {
    const ClientAnswer answer = client.post(R"({"prompt":"The future of AI is"})");
    if (answer.status == 200) {
      ++answered_;
      return;
    }
    const std::lock_guard lock(mutex_);
    failures_.push_back(std::to_string(answer.status) + " " + answer.text);
  }

  std::atomic<bool> over_{false};
  std::atomic<int> answered_{0};
  std::mutex mutex_;
  std::vector<std::string> failures_;
  std::vector<std::thread> threads_;
};

TEST(GatewayUnderLoad, NoRequestFailsWhileReplicasComeAndGo) {
  std::vector<std::unique_ptr<Replica>> replicas;
  for (int i = 0; i < 4; ++i)
    replicas.push_back(std::make_unique<Replica>("r" + std::to_string(i), fresh_ip(), 5ms));
  GatewayBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.haproxy.start());
  bench.start_sync();
  const auto publish_without = [&](const Replica* gone) {
    std::vector<api::Endpoint> endpoints;
    for (const auto& replica : replicas) {
      if (replica.get() != gone) endpoints.push_back(endpoint_of(*replica));
    }
    bench.publish(std::move(endpoints));
  };
  publish_without(nullptr);
  for (const auto& replica : replicas) ASSERT_TRUE(bench.becomes(*replica, AdminState::kReady));

  Clients clients(bench.haproxy);
  std::mt19937 random(42);
  // A slow machine answers few in each: as many rounds as it takes.
  for (int round = 0; round < 20 || (round < 400 && clients.answered() <= 200); ++round) {
    Replica& victim = *replicas[random() % replicas.size()];
    const bool by_accident = round % 2 == 1;
    if (by_accident) {
      // Killed: the list hears of it a little later, as it does of a container that crashed.
      victim.abort();
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 40));
      publish_without(&victim);
    } else {
      // Deleted: withdrawn on its event, ended at any moment after that, even before HAProxy heard of it.
      publish_without(&victim);
      std::this_thread::sleep_for(std::chrono::milliseconds(random() % 20));
      victim.abort();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(random() % 100));
    victim.start();  // its successor, at the same address
    publish_without(nullptr);
    ASSERT_TRUE(bench.becomes(victim, AdminState::kReady)) << bench.logged();
  }
  clients.stop();
  EXPECT_EQ(clients.failures(), std::vector<std::string>{}) << bench.haproxy.log();
  EXPECT_GT(clients.answered(), 200);
  RecordProperty("answered", clients.answered());
}

}  // namespace
}  // namespace poolwarden::gateway

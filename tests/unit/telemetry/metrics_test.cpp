#include "telemetry/metrics.h"

#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/collectable.h>
#include <prometheus/text_serializer.h>

namespace poolwarden::telemetry {
namespace {

using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::Not;

class MetricsTest : public testing::Test {
 protected:
  std::string scrape() const {
    return prometheus::TextSerializer().Serialize(metrics_.collectable()->Collect());
  }

  steady_clock::time_point now_{std::chrono::seconds(1'000)};
  Metrics metrics_{{.version = "0.1.0", .commit = "abc", .compiler = "gcc"}, [this] { return now_; }};
};

TEST_F(MetricsTest, KnownSeriesAreThereAtZeroFromTheStart) {
  metrics_.declare_watch("pods", {"eof", "expired"});
  metrics_.declare_write("ConfigMap", {"success", "conflict"});
  const std::string text = scrape();
  for (const char* series : {
           "poolwarden_withdrawal_seconds_count 0\n",
           "poolwarden_withdrawal_seconds_bucket{le=\"0.0005\"} 0\n",
           "poolwarden_withdrawal_seconds_bucket{le=\"10\"} 0\n",
           "poolwarden_watch_restarts_total{reason=\"eof\",resource=\"pods\"} 0\n",
           "poolwarden_watch_restarts_total{reason=\"expired\",resource=\"pods\"} 0\n",
           "poolwarden_writes_total{kind=\"ConfigMap\",result=\"success\"} 0\n",
           "poolwarden_writes_total{kind=\"ConfigMap\",result=\"conflict\"} 0\n",
           "poolwarden_leader 0\n",
           "poolwarden_loop_inputs 0\n",
           "poolwarden_loop_lag_seconds_count 0\n",
           "poolwarden_log_lines_dropped_total 0\n",
           "poolwarden_build_info{commit=\"abc\",compiler=\"gcc\",version=\"0.1.0\"} 1\n",
       }) {
    EXPECT_THAT(text, HasSubstr(series));
  }
}

TEST_F(MetricsTest, WithdrawalsFallIntoTheirBuckets) {
  metrics_.observe_withdrawal(std::chrono::microseconds(400));
  metrics_.observe_withdrawal(std::chrono::milliseconds(3));
  const std::string text = scrape();
  EXPECT_THAT(text, HasSubstr("poolwarden_withdrawal_seconds_bucket{le=\"0.0005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_withdrawal_seconds_bucket{le=\"0.0025\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_withdrawal_seconds_bucket{le=\"0.005\"} 2\n"));
}

TEST_F(MetricsTest, APoolsSeriesGoWithThePool) {
  metrics_.set_endpoints("a", "x", 3, 0, 1);
  metrics_.set_endpoints("a", "y", 2, 0, 0);
  metrics_.set_endpoints("a", "x", 2, 1, 2);
  metrics_.set_wanted_replicas("a", "x", 3);
  metrics_.set_oldest_drain("a", "x", Seconds(5));
  std::string text = scrape();
  EXPECT_THAT(text, HasSubstr("poolwarden_endpoints{namespace=\"a\",pool=\"x\",state=\"ready\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_endpoints{namespace=\"a\",pool=\"x\",state=\"draining\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_endpoints{namespace=\"a\",pool=\"x\",state=\"withdrawn\"} 2\n"));

  metrics_.remove_pool("a", "x");
  metrics_.remove_pool("a", "never-was");
  text = scrape();
  EXPECT_THAT(text, Not(HasSubstr("pool=\"x\"")));
  EXPECT_THAT(text, HasSubstr("poolwarden_endpoints{namespace=\"a\",pool=\"y\",state=\"ready\"} 2\n"));

  metrics_.set_endpoints("a", "x", 1, 0, 0);
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_endpoints{namespace=\"a\",pool=\"x\",state=\"ready\"} 1\n"));
}

TEST_F(MetricsTest, ConsumersOfAPool_AreShownWhileThereAreAny) {
  metrics_.set_consumers("a", "y", 0, 0, 0);
  EXPECT_THAT(scrape(), Not(HasSubstr("pool=\"y\"")));
  const auto show = [this] {
    metrics_.set_consumers("a", "x", 3, 1, 2);
    metrics_.observe_confirmation("a", "x", Seconds(0.02));
    return scrape();
  };
  const std::string text = show();
  EXPECT_THAT(text, HasSubstr("poolwarden_consumers{namespace=\"a\",pool=\"x\",state=\"live\"} 3\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_consumers{namespace=\"a\",pool=\"x\",state=\"silent\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_consumer_revisions_behind{namespace=\"a\",pool=\"x\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_consumer_confirm_seconds_count{namespace=\"a\",pool=\"x\"} 1\n"));
  metrics_.set_consumers("a", "x", 0, 0, 0);
  EXPECT_THAT(scrape(), Not(HasSubstr("pool=\"x\"")));
  show();
  metrics_.remove_pool("a", "x");
  EXPECT_THAT(scrape(), Not(HasSubstr("pool=\"x\"")));
}

TEST_F(MetricsTest, HowManyReplicasAreWantedIsShownWhileItIsKnown) {
  metrics_.set_wanted_replicas("a", "x", 2);
  metrics_.set_wanted_replicas("a", "y", 3);
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_wanted_replicas{namespace=\"a\",pool=\"x\"} 2\n"));
  metrics_.set_wanted_replicas("a", "x", 0);
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_wanted_replicas{namespace=\"a\",pool=\"x\"} 0\n"));

  metrics_.set_wanted_replicas("a", "x", std::nullopt);
  metrics_.set_wanted_replicas("a", "never-known", std::nullopt);
  std::string text = scrape();
  EXPECT_THAT(text, Not(HasSubstr("poolwarden_wanted_replicas{namespace=\"a\",pool=\"x\"}")));
  EXPECT_THAT(text, Not(HasSubstr("never-known")));
  EXPECT_THAT(text, HasSubstr("poolwarden_wanted_replicas{namespace=\"a\",pool=\"y\"} 3\n"));

  metrics_.set_wanted_replicas("a", "x", 1);
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_wanted_replicas{namespace=\"a\",pool=\"x\"} 1\n"));
}

TEST_F(MetricsTest, TheAgeOfTheLastByteIsThatOfTheScrape) {
  EXPECT_THAT(scrape(), Not(HasSubstr("poolwarden_watch_last_byte_age_seconds{")));
  metrics_.set_last_byte("pods", now_);
  now_ += std::chrono::milliseconds(2'500);
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_watch_last_byte_age_seconds{resource=\"pods\"} 2.5\n"));
  now_ += std::chrono::seconds(1);
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_watch_last_byte_age_seconds{resource=\"pods\"} 3.5\n"));
  metrics_.set_last_byte("pods",
                         now_ + std::chrono::seconds(1));  // it came between two readings of the clock
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_watch_last_byte_age_seconds{resource=\"pods\"} 0\n"));
}

TEST_F(MetricsTest, CountsRestartsWritesAndCalls) {
  metrics_.watch_restarted("pods", "eof");
  metrics_.watch_restarted("pods", "eof");
  metrics_.wrote("Service", "success");
  metrics_.observe_api_call("merge-patch", "conflict", std::chrono::milliseconds(2));
  const std::string text = scrape();
  EXPECT_THAT(text, HasSubstr("poolwarden_watch_restarts_total{reason=\"eof\",resource=\"pods\"} 2\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_writes_total{kind=\"Service\",result=\"success\"} 1\n"));
  EXPECT_THAT(
      text, HasSubstr("poolwarden_api_request_seconds_count{result=\"conflict\",verb=\"merge-patch\"} 1\n"));
}

TEST_F(MetricsTest, AWorkQueueHasTheNamesOfClientGo) {
  QueueSeries queue = metrics_.queue("pools");
  queue.set_depth(4);
  queue.added();
  queue.retried();
  queue.waited(std::chrono::milliseconds(5));
  queue.worked(std::chrono::milliseconds(20));
  const std::string text = scrape();
  for (const char* series : {
           "workqueue_depth{name=\"pools\"} 4\n",
           "workqueue_adds_total{name=\"pools\"} 1\n",
           "workqueue_retries_total{name=\"pools\"} 1\n",
           "workqueue_queue_duration_seconds_bucket{name=\"pools\",le=\"0.01\"} 1\n",
           "workqueue_work_duration_seconds_bucket{name=\"pools\",le=\"0.01\"} 0\n",
           "workqueue_work_duration_seconds_bucket{name=\"pools\",le=\"0.1\"} 1\n",
           "workqueue_unfinished_work_seconds{name=\"pools\"} 0\n",
           "workqueue_longest_running_processor_seconds{name=\"pools\"} 0\n",
       }) {
    EXPECT_THAT(text, HasSubstr(series));
  }
}

TEST_F(MetricsTest, LeaderLoopAndDroppedLines) {
  std::uint64_t dropped = 7;
  metrics_.set_leader(true);
  metrics_.count_loop_inputs([] { return std::size_t{12}; });
  metrics_.observe_loop_lag(std::chrono::microseconds(300));
  metrics_.count_dropped_logs([&] { return dropped; });
  std::string text = scrape();
  EXPECT_THAT(text, HasSubstr("poolwarden_leader 1\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_loop_inputs 12\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_loop_lag_seconds_bucket{le=\"0.0005\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_log_lines_dropped_total 7\n"));
  dropped = 9;
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_log_lines_dropped_total 9\n"));
}

TEST_F(MetricsTest, DroppedEvents_AreCountedByReason) {
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_events_dropped_total{reason=\"limited\"} 0\n"));
  metrics_.set_dropped_events("full", 3);
  metrics_.set_dropped_events("full", 5);
  const std::string text = scrape();
  EXPECT_THAT(text, HasSubstr("poolwarden_events_dropped_total{reason=\"full\"} 5\n"));
  EXPECT_THAT(text, HasSubstr("poolwarden_events_dropped_total{reason=\"failed\"} 0\n"));
}

TEST_F(MetricsTest, AProcessIsShown) {
  const std::string text = scrape();
  EXPECT_THAT(text, testing::ContainsRegex("process_resident_memory_bytes [1-9]"));
  EXPECT_THAT(text, testing::ContainsRegex("process_open_fds [1-9]"));
  EXPECT_THAT(text, testing::ContainsRegex("process_start_time_seconds [1-9]"));
  EXPECT_THAT(text, HasSubstr("# TYPE process_cpu_seconds_total counter\n"));
}

TEST_F(MetricsTest, HostileNamesStayInsideTheirLabel) {
  metrics_.set_endpoints("a\"} 1\nfake 2", "x\\", 1, 0, 0);
  EXPECT_THAT(scrape(), Not(HasSubstr("\nfake 2")));
}

TEST_F(MetricsTest, MayBeScrapedWhileItIsFed) {
  std::vector<std::thread> feeders;
  for (int thread = 0; thread < 2; ++thread) {
    feeders.emplace_back([this, thread] {
      const std::string pool = std::to_string(thread);
      for (std::size_t i = 0; i < 200; ++i) {
        metrics_.observe_withdrawal(std::chrono::milliseconds(1));
        metrics_.set_endpoints("a", pool, i, 0, 0);
        metrics_.set_last_byte("pods", now_);
        metrics_.wrote("ConfigMap", "success");
        if (i % 3 == 0) metrics_.remove_pool("a", pool);
      }
    });
  }
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(scrape().empty());
  for (auto& feeder : feeders) feeder.join();
  EXPECT_THAT(scrape(), HasSubstr("poolwarden_withdrawal_seconds_count 400\n"));
}

}  // namespace
}  // namespace poolwarden::telemetry

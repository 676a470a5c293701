// What others wrote into objects, in the output of every command: nothing of it that a terminal would obey.
#include "command_bench.h"

#include <csignal>
#include <string>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

namespace poolwarden::integration {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Clears the screen, sets the title, begins a line, colours in C1, turns the direction, hides itself.
constexpr const char* kHostile =
    "\x1b[2J\x1b]0;x\x07\r\nforged\t\x7f\u009b31m\u202e\u2066\u200b\u2028\U000e0041";
// The beginning of it, as it is shown.
constexpr const char* kShown = R"(\x1b[2J\x1b]0;x\x07\r\nforged\t\x7f\u009b31m\u202e)";
constexpr const char* kInDocument = R"(\u001b[2J\u001b]0;x\u0007\r\nforged\t\u007f\u009b31m\u202e)";

// The first thing that a terminal would obey, or not show. Nothing, if there is none.
std::string offence(const std::string& text) {
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c != '\n' && (byte < 0x20 || byte == 0x7f)) return fmt::format("byte {:02x}", byte);
  }
  for (const char* each : {"\u009b", "\u202e", "\u2066", "\u200b", "\u2028", "\U000e0041"}) {
    if (text.find(each) != std::string::npos) return "the bytes of a character that is not printable";
  }
  return text.find("\nforged") == std::string::npos ? "" : "a line of its own";
}

json hostile_pod_metadata(const char* kind) {
  return {
      {"ownerReferences",
       {{{"apiVersion", "apps/v1"}, {"kind", kind}, {"name", kHostile}, {"uid", "u"}, {"controller", true}}}},
      {"annotations", {{"poolwarden.io/drain-reason", kHostile}}}};
}

json hostile_status() {
  return {{"observedGeneration", 1},
          {"replicas", 2},
          {"endpoints",
           {{{"pod", "vllm-0"},
             {"state", kHostile},
             {"reason", kHostile},
             {"ip", kHostile},
             {"message", kHostile}},
            {{"pod", "vllm-1"}, {"state", "draining"}, {"reason", kHostile}, {"message", kHostile}},
            {{"pod", kHostile}, {"state", "withdrawn"}}}},
          {"conditions",
           {{{"type", "Available"},
             {"status", "False"},
             {"reason", kHostile},
             {"message", kHostile},
             {"lastTransitionTime", "2026-01-01T00:00:00Z"}},
            {{"type", "Progressing"},
             {"status", "True"},
             {"reason", kHostile},
             {"message", kHostile},
             {"lastTransitionTime", "2026-01-01T00:00:00Z"}}}}};
}

// A pod that is not ready, one that drains, and one in no pool, on a node that is not ready.
void plant_pods(CommandBench& bench) {
  bench.patch(std::string(kPodsPath) + "vllm-0", {{"metadata", hostile_pod_metadata(kHostile)}});
  bench.patch(std::string(kPodsPath) + "vllm-0/status",
              {{"status",
                {{"phase", kHostile},
                 {"conditions", {{{"type", "Ready"}, {"status", "False"}, {"reason", kHostile}}}},
                 {"containerStatuses",
                  {{{"name", kHostile},
                    {"state", {{"waiting", {{"reason", kHostile}, {"message", kHostile}}}}}}}}}}});
  json draining = hostile_pod_metadata("DaemonSet");
  draining["labels"]["poolwarden.io/serving"] = "draining";
  draining["annotations"]["poolwarden.io/drain-started"] = "2026-01-01T00:00:00Z";
  bench.patch(std::string(kPodsPath) + "vllm-1", {{"metadata", draining}});
  bench.patch(std::string(kPodsPath) + "vllm-2", {{"metadata", {{"labels", {{"app", "none"}}}}}});
  bench.patch(
      "/api/v1/nodes/n1/status",
      {{"status", {{"conditions", {{{"type", "Ready"}, {"status", "False"}, {"message", kHostile}}}}}}});
  bench.patch("/api/v1/nodes/n1", {{"spec", {{"taints", {{{"key", kHostile}, {"effect", "NoSchedule"}}}}}}});
  bench.request(kube::HttpMethod::kPost, "/apis/events.k8s.io/v1/namespaces/default/events",
                {{"apiVersion", "events.k8s.io/v1"},
                 {"kind", "Event"},
                 {"metadata", {{"name", "e"}, {"namespace", "default"}}},
                 {"eventTime", "2026-01-01T00:00:00.000000Z"},
                 {"type", "Warning"},
                 {"reason", kHostile},
                 {"action", "a"},
                 {"note", kHostile},
                 {"reportingController", "c"},
                 {"reportingInstance", "i"},
                 {"regarding", {{"kind", "Pod"}, {"namespace", "default"}, {"name", "vllm-0"}}}});
}

void plant(CommandBench& bench) {
  bench.store_pool(3, hostile_status());
  bench.create_pool("other", {{"selector", {{"matchLabels", {{"app", kHostile}}}}},
                              {"scaleTargetRef", {{"name", kHostile}}},
                              {"targetPorts", {{{"number", 8000}}}}});
  plant_pods(bench);
}

struct Row {
  std::vector<std::string> command;
  const char* shows = kShown;  // to prove that the text came through at all
};

TEST(HostileText, InTheOutputOfCommands_IsPrintable) {
  CommandBench bench;
  plant(bench);
  for (const Row& row : std::vector<Row>{
           {{"status"}},
           {{"status", "-A"}},
           {{"status", "vllm"}},
           {{"status", "other"}},
           {{"status", "vllm", "-o", "json"}, kInDocument},
           {{"status", "-o", "yaml"}, kInDocument},
           {{"why", "vllm-0"}},
           {{"why", "vllm-0", "-o", "json"}, kInDocument},
           {{"why", "vllm-0", "-o", "yaml"}, kInDocument},
           {{"why", "vllm-1"}},
           {{"why", "vllm-2"}},
           {{"why", kHostile}},
           {{"drain", "vllm-1", "--undo"}},
           {{"drain", "vllm-2"}},
           {{"drain", std::string("pod/") + kHostile}},
           {{"drain", "vllm-1", std::string("--timeout=") + kHostile}},
           {{"delete", "vllm-2"}},
           {{"drain", "node/n1", "--timeout=1s"}},
           {{"status", "-n", kHostile}},
           {{"gateway-sync", "--pool=vllm", std::string("--backend=") + kHostile}},
       }) {
    const Said said = bench.run(row.command);
    const std::string shown = testing::PrintToString(row.command) + said.out + said.err;
    EXPECT_EQ(offence(said.out), "") << shown;
    EXPECT_EQ(offence(said.err), "") << shown;
    EXPECT_THAT(said.out + said.err, HasSubstr(row.shows)) << shown;
  }
  // CLI11 cuts its complaint into lines, and quotes what was given.
  const std::string complaint = bench.run({"status", "vllm", "a\x1b[2J\u202e"}).err;
  EXPECT_EQ(offence(complaint), "") << complaint;
  EXPECT_THAT(complaint, HasSubstr(R"(a\x1b[2J\u202e)"));
}

TEST(HostileText, InADocument_IsTheValueThatWasWritten) {
  CommandBench bench;
  plant(bench);
  const json document = json::parse(bench.run({"status", "vllm", "-o", "json"}).out, nullptr, false);
  ASSERT_TRUE(document.is_object());
  EXPECT_EQ(document["problems"][0]["message"], kHostile);
  const YAML::Node yaml = YAML::Load(bench.run({"status", "vllm", "-o", "yaml"}).out);
  EXPECT_EQ(yaml["problems"][0]["message"].as<std::string>(), kHostile);
}

TEST(HostileText, InWatchedChanges_IsPrintable) {
  CommandBench bench;
  plant(bench);
  const auto program = bench.begin({"watch"});
  ASSERT_TRUE(program->wait_for_line("Available=False", 20s)) << program->output();
  bench.patch(std::string(kPoolsPath) + "vllm/status", {{"status", {{"servingReplicas", 7}}}});
  ASSERT_TRUE(program->wait_for_line("7 serving", 20s)) << program->output();
  program->signal(SIGINT);
  EXPECT_EQ(program->wait_for_exit(10s), 0);
  EXPECT_EQ(offence(program->output()), "") << program->output();
  EXPECT_THAT(program->output(), HasSubstr(kShown));
}

}  // namespace
}  // namespace poolwarden::integration

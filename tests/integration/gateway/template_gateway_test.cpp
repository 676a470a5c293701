// A gateway that is configured by a file, with scripts in its place: what is written, when the program is
// run, and what happens when either cannot be done.
#include "gateway/template_gateway.h"

#include "feed.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using namespace std::chrono_literals;
using api::EndpointState;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kReadyOnly = "{{#ready}}{{address}} {{/ready}}\n";
const WantedServer kWantA{{"10.0.0.1", 8000}, "a"};
const WantedServer kWantB{{"10.0.0.2", 8000}, "b"};

void put_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

// A directory with a template, its file and a program that notes that it was run.
class TemplateGatewayTest : public testing::Test {
 protected:
  void SetUp() override {
    put_file(in(), kReadyOnly);
    put_file(script_, "#!/bin/sh\ncat " + out() + " >> " + runs_ + "\n[ ! -e " + broken_ +
                          " ] || { echo broken; exit 3; }\n");
    std::filesystem::permissions(script_, std::filesystem::perms::owner_all);
  }
  std::string in() const { return directory_.file("in"); }
  std::string out() const { return directory_.file("out"); }
  TemplateOptions options(std::chrono::milliseconds pace = 0ms) const {
    TemplateOptions made;
    made.templates = {{in(), out()}};
    made.reload = ReloadProgram{{script_}};
    made.pace = pace;
    made.names = {"vllm", "default"};
    return made;
  }
  // What it was run with, one line a run.
  std::string runs() const { return contents_of(runs_); }
  std::string written() const { return contents_of(out()); }
  std::size_t run_count() const {
    const std::string all = runs();
    return static_cast<std::size_t>(std::count(all.begin(), all.end(), '\n'));
  }
  // As the core does it. Empty: the gateway has the list.
  static std::string bring(TemplateGateway& gateway, const std::vector<WantedServer>& wanted) {
    for (int pass = 0; pass < 3; ++pass) {
      const auto observed = gateway.observe();
      if (!observed) return observed.error().message;
      const Plan plan = (*observed)->plan(wanted);
      if (plan.waits_for) return *plan.waits_for;
      if (plan.commands.empty()) return {};
      if (const auto told = gateway.carry_out(plan.commands); !told) return told.error().message;
    }
    return "it does not settle";
  }

  const TempDir directory_;
  const std::string script_ = directory_.file("reload.sh");
  const std::string runs_ = directory_.file("runs");
  const std::string broken_ = directory_.file("broken");
};

TEST_F(TemplateGatewayTest, RunsOnceForEachTextAndForNoOther) {
  TemplateGateway gateway(options());
  EXPECT_EQ(written(), "\n") << "for a gateway that does not start without";
  EXPECT_EQ(run_count(), 0U);
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  WantedServer draining = kWantA;
  draining.state = EndpointState::kDraining;
  EXPECT_EQ(bring(gateway, {draining, kWantB}), "");
  EXPECT_EQ(bring(gateway, {kWantB}), "") << "the template does not tell of those that drain";
  EXPECT_EQ(runs(), "10.0.0.1:8000 \n10.0.0.2:8000 \n");
  EXPECT_EQ(written(), "10.0.0.2:8000 \n");
}

TEST_F(TemplateGatewayTest, AfterARestartItIsRunOnceThoughTheFileIsAsItShouldBe) {
  { EXPECT_EQ(bring(*std::make_unique<TemplateGateway>(options()), {kWantA}), ""); }
  struct stat before {
  }, after{};
  ASSERT_EQ(::stat(out().c_str(), &before), 0);
  TemplateGateway again(options());
  EXPECT_EQ(bring(again, {kWantA}), "");
  EXPECT_EQ(bring(again, {kWantA}), "");
  EXPECT_EQ(runs(), "10.0.0.1:8000 \n10.0.0.1:8000 \n");
  ASSERT_EQ(::stat(out().c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
}

TEST_F(TemplateGatewayTest, WhatFailedIsNotHeldAlsoWhenTheListTurnsBack) {
  TemplateGateway gateway(options());
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  put_file(broken_, "");
  EXPECT_THAT(bring(gateway, {kWantB}), HasSubstr("reload.sh failed with exit status 3: broken"));
  EXPECT_THAT(bring(gateway, {kWantA}), HasSubstr("broken")) << "nobody knows what it took of the other";
  const std::size_t failed = run_count();
  std::filesystem::remove(broken_);
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  EXPECT_EQ(run_count(), failed + 1);
  EXPECT_EQ(written(), "10.0.0.1:8000 \n");
}

TEST_F(TemplateGatewayTest, AFileThatSomebodyChangesIsWrittenAgain) {
  TemplateGateway gateway(options());
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  put_file(out(), "mine\n");
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  std::filesystem::remove(out());
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  EXPECT_EQ(written(), "10.0.0.1:8000 \n");
  EXPECT_EQ(run_count(), 3U);
}

TEST_F(TemplateGatewayTest, AProgramThatHangsIsKilledWithItsChildren) {
  put_file(script_, "#!/bin/sh\nsleep 600 &\necho $! > " + runs_ + "\necho waiting\nwait\n");
  TemplateOptions hanging = options();
  hanging.reload = ReloadProgram{{script_}, 500ms};
  TemplateGateway gateway(hanging);
  EXPECT_THAT(bring(gateway, {kWantA}), HasSubstr("reload.sh did not finish within 500 ms: waiting"));
  const pid_t child = std::stoi(runs());
  // A zombie until whoever has adopted it looks: its state, where it is still there.
  EXPECT_TRUE(eventually([&] {
    const std::string state = contents_of(fmt::format("/proc/{}/stat", child));
    return state.empty() || state.find(") Z ") != std::string::npos;
  }));
}

TEST_F(TemplateGatewayTest, ATemplateThatCannotBeUsedLeavesTheOneBefore) {
  TemplateGateway gateway(options());
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  EXPECT_FALSE(gateway.complaint());
  put_file(in(), "#\n{{#ready}}{{adress}}{{/ready}}\n");
  EXPECT_EQ(bring(gateway, {kWantB}), "") << "the list goes on being followed";
  EXPECT_EQ(written(), "10.0.0.2:8000 \n");
  EXPECT_THAT(gateway.complaint().value_or(""), HasSubstr("in: line 2: 'adress' is not known"));
  std::filesystem::remove(in());
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  EXPECT_THAT(gateway.complaint().value_or(""), HasSubstr("cannot read"));
  put_file(in(), "now {{#ready}}{{name}}{{/ready}}\n");
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  EXPECT_FALSE(gateway.complaint());
  EXPECT_EQ(written(), "now a\n");
  EXPECT_EQ(run_count(), 4U);
}

TEST_F(TemplateGatewayTest, WithoutAnyTemplateItSaysWhy) {
  put_file(in(), "{{#ready}}");
  TemplateGateway gateway(options());
  EXPECT_THAT(bring(gateway, {kWantA}), HasSubstr("in: line 1: {{#ready}} is not closed"));
  EXPECT_FALSE(std::filesystem::exists(out()));
  put_file(in(), kReadyOnly);
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  EXPECT_EQ(written(), "10.0.0.1:8000 \n");
}

TEST_F(TemplateGatewayTest, SaysWhatIsInTheWayOfItsFile) {
  TemplateOptions nowhere = options();
  nowhere.templates.front().out = directory_.file("no/such/file");
  TemplateGateway absent(nowhere);
  EXPECT_THAT(bring(absent, {kWantA}), HasSubstr("make the directory, and have the gateway see it too"));
  std::filesystem::create_directories(directory_.file("no/such"));
  EXPECT_EQ(bring(absent, {kWantA}), "");
  TemplateOptions folder = options();
  folder.templates.front().out = directory_.file("no");
  TemplateGateway taken(folder);
  EXPECT_THAT(bring(taken, {kWantA}), HasSubstr("a file belongs there"));
}

TEST_F(TemplateGatewayTest, TheFirstChangeGoesAtOnceAndTheNextOnesTogether) {
  TemplateGateway gateway(options(1h));
  EXPECT_EQ(bring(gateway, {kWantA}), "the reload that is under way")
      << "it was told, and does not count yet";
  EXPECT_EQ(runs(), "10.0.0.1:8000 \n");
  EXPECT_EQ(bring(gateway, {kWantB}), "the reload that is under way");
  EXPECT_EQ(written(), "10.0.0.1:8000 \n");
}

TEST_F(TemplateGatewayTest, SeveralFilesAreOneReloadAndNoneIsNeeded) {
  TemplateOptions two = options();
  two.templates.push_back({directory_.file("in2"), directory_.file("out2")});
  put_file(directory_.file("in2"), "{{#endpoints}}{{name}}:{{state}}{{/endpoints}}");
  TemplateGateway gateway(two);
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  EXPECT_EQ(contents_of(directory_.file("out2")), "a:ready");
  EXPECT_EQ(run_count(), 1U);
  TemplateOptions alone = options();
  alone.reload = {};
  TemplateGateway silent(alone);
  EXPECT_EQ(bring(silent, {kWantB}), "");
  EXPECT_EQ(written(), "10.0.0.2:8000 \n");
  EXPECT_EQ(run_count(), 1U);
}

TEST_F(TemplateGatewayTest, ASignalThatReachesNobodyIsAnError) {
  const std::string pid_file = directory_.file("pid");
  TemplateOptions signalled = options();
  signalled.reload = ReloadSignal{SIGUSR1, "USR1", pid_file};
  TemplateGateway gateway(signalled);
  EXPECT_THAT(bring(gateway, {kWantA}), HasSubstr("does the gateway run, and does it write its pid there?"));
  put_file(pid_file, "1\n");
  EXPECT_THAT(bring(gateway, {kWantA}), HasSubstr("process 1 is not the gateway's here"));
  TestProcess waiting;
  waiting.start({"/bin/sleep", "600"}, directory_.file("sleep"));
  put_file(pid_file, fmt::format("{}\n", waiting.id()));
  EXPECT_EQ(bring(gateway, {kWantA}), "");
  const pid_t gone = waiting.id();
  EXPECT_EQ(waiting.wait(), -1) << "the signal has ended it";
  put_file(pid_file, fmt::format("{}\n", gone));
  EXPECT_THAT(bring(gateway, {kWantB}), HasSubstr("cannot send USR1 to process"));
}

// A pid file of another container may hold the number of a thread of ours, which kill() would take for our
// process.
TEST_F(TemplateGatewayTest, ASignalIsNotForAThreadOfOurs) {
  std::promise<pid_t> number;
  std::promise<void> over;
  std::thread other([&] {
    number.set_value(::gettid());
    over.get_future().wait();
  });
  const std::string pid_file = directory_.file("pid");
  put_file(pid_file, fmt::format("{}\n", number.get_future().get()));
  TemplateOptions signalled = options();
  signalled.reload = ReloadSignal{SIGUSR1, "USR1", pid_file};
  TemplateGateway gateway(signalled);
  EXPECT_THAT(bring(gateway, {kWantA}), HasSubstr("cannot send USR1 to process"));
  over.set_value();
  other.join();
}

// What comes while the program runs is written and told after it, and the gateway is not ready before.
TEST_F(TemplateGatewayTest, AChangeDuringARunIsRunAfterIt) {
  const std::string go = directory_.file("go");
  put_file(script_,
           "#!/bin/sh\ncat " + out() + " >> " + runs_ + "\nwhile [ ! -e " + go + " ]; do sleep 0.02; done\n");
  TemplateOptions slow = options();
  TemplateGateway gateway(slow);
  Feed feed;
  feed.start(gateway, "template");
  feed.publish({endpoint_at("a", "10.0.0.1", 8000)});
  ASSERT_TRUE(eventually([&] { return run_count() == 1; })) << feed.logged();
  feed.publish({endpoint_at("b", "10.0.0.2", 8000)});
  EXPECT_FALSE(feed.ready());
  EXPECT_EQ(written(), "10.0.0.1:8000 \n") << "one run at a time";
  put_file(go, "");
  EXPECT_TRUE(eventually([&] { return feed.ready() && written() == "10.0.0.2:8000 \n"; })) << feed.logged();
  feed.stop();
  EXPECT_EQ(runs(), "10.0.0.1:8000 \n10.0.0.2:8000 \n");
}

TEST_F(TemplateGatewayTest, WhatIsToBeMendedIsLoggedAndMeasured) {
  TemplateGateway gateway(options());
  Feed feed;
  feed.start(gateway, "template");
  feed.publish({endpoint_at("a", "10.0.0.1", 8000)});
  ASSERT_TRUE(eventually([&] { return feed.ready(); })) << feed.logged();
  put_file(in(), "{{/ready}}");
  EXPECT_TRUE(feed.logs("{{/ready}} closes nothing")) << feed.logged();
  EXPECT_TRUE(feed.ready()) << "the list is followed all the same";
  put_file(in(), kReadyOnly);
  EXPECT_TRUE(feed.logs("nothing of the gateway is to be mended any more")) << feed.logged();
  feed.stop();
}

}  // namespace
}  // namespace poolwarden::gateway

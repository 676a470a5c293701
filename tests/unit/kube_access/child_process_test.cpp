#include "kube/child_process.h"

#include "temp_dir.h"

#include <fcntl.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using ::testing::HasSubstr;
using namespace std::chrono_literals;

class ChildProcessTest : public ::testing::Test {
 protected:
  tl::expected<std::string, ChildFailure> run(const std::string& script, std::vector<std::string> args = {},
                                              std::chrono::milliseconds deadline = 20s,
                                              std::size_t max = 1000) {
    ChildProcess child;
    child.command = dir_.write_script("child.sh", script);
    child.args = std::move(args);
    child.env = {{"EXTRA", "more"}, {"HOME", "/changed"}};
    child.deadline = deadline;
    child.max_output_bytes = max;
    return run_child(child, {});
  }
  test::TempDir dir_;
};

TEST_F(ChildProcessTest, GetsArgumentsAndEnvironmentAsTheyAre) {
  const auto output = run(R"(printf '%s|' "$@" "$EXTRA" "$HOME" "${PATH:+path}")", {"a b", "$HOME", "'\""});
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(*output, "a b|$HOME|'\"|more|/changed|path|");
}

TEST_F(ChildProcessTest, HasAnEmptyInputAndNoFileOfOurs) {
  const int ours = ::open("/dev/null", O_RDONLY);  // not close-on-exec
  ASSERT_GE(ours, 0);
  const auto output =
      run("cat; for fd in 3 4 5 6 7 8 9; do [ -e /proc/self/fd/$fd ] && ls -l /proc/self/fd/; done; true");
  ::close(ours);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_THAT(*output, ::testing::Not(HasSubstr("/dev/null")));
}

TEST_F(ChildProcessTest, FailsWithWhatItSaid) {
  const auto output = run("echo fine; echo 'not logged in' >&2; exit 3");
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().message, HasSubstr("failed with exit status 3: not logged in"));
  EXPECT_FALSE(output.error().not_found);
}

TEST_F(ChildProcessTest, SaysWhichSignalEndedIt) {
  EXPECT_THAT(run("kill -TERM $$").error().message, HasSubstr("was ended by signal 15"));
}

TEST_F(ChildProcessTest, IsEndedAtItsDeadlineWithItsChildren) {
  const auto begin = std::chrono::steady_clock::now();
  const auto output = run("sleep 60 & echo $!; sleep 60", {}, 200ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().message, HasSubstr("did not finish within 200 ms"));
}

TEST_F(ChildProcessTest, IsEndedAlsoWhenItHasLeftItsProcessGroup) {
  const auto begin = std::chrono::steady_clock::now();
  const auto output = run("exec perl -e 'setpgrp(0, getpgrp(getppid)) or die; sleep 60'", {}, 500ms);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().message, HasSubstr("did not finish within 500 ms"));
}

TEST_F(ChildProcessTest, BackgroundChildKeepsPipe_RunEnds) {
  const auto begin = std::chrono::steady_clock::now();
  const auto output = run("echo done; sleep 5 &");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 4s);
  ASSERT_TRUE(output) << output.error().message;
  EXPECT_EQ(*output, "done\n");
}

TEST_F(ChildProcessTest, MayPrintSoMuchAndNoMore) {
  EXPECT_TRUE(run("printf '%01000d' 0"));
  const auto output = run("while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done");
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().message, HasSubstr("printed more than 1000 bytes"));
}

TEST_F(ChildProcessTest, MuchOnStderrNeitherBlocksNorIsQuotedWhole) {
  const auto output = run("printf '%0200000d' 0 >&2; exit 1");
  ASSERT_FALSE(output);
  EXPECT_LT(output.error().message.size(), 3000U);
}

TEST_F(ChildProcessTest, ForItsEffect_TheLastOfBothStreamsIsQuoted) {
  ChildProcess child;
  child.for_its_effect = true;
  child.command = dir_.write_script(
      "effect.sh", "printf '%0200000d' 0; printf '%0200000d' 0 >&2; echo out; echo why >&2; exit 1");
  const auto output = run_child(child, {});
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().message, HasSubstr("failed with exit status 1: 0000"));
  EXPECT_THAT(output.error().message, ::testing::EndsWith("0out\nwhy"));
  EXPECT_LT(output.error().message.size(), 1'200U);
}

TEST_F(ChildProcessTest, ForItsEffect_PrintsWithoutEndUntilItsDeadline) {
  ChildProcess child;
  child.for_its_effect = true;
  child.deadline = 300ms;
  child.command = dir_.write_script("endless.sh", "exec yes");
  const auto output = run_child(child, {});
  ASSERT_FALSE(output);
  EXPECT_THAT(output.error().message, HasSubstr("did not finish within 300 ms: y"));
}

TEST_F(ChildProcessTest, StopsWhenAsked) {
  ChildProcess child;
  child.command = dir_.write_script("slow.sh", "sleep 60");
  std::stop_source stop;
  const auto begin = std::chrono::steady_clock::now();
  std::thread stopper([&] {
    std::this_thread::sleep_for(100ms);
    stop.request_stop();
  });
  EXPECT_FALSE(run_child(child, stop.get_token()));
  stopper.join();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST_F(ChildProcessTest, SaysWhenItIsNotThere) {
  ChildProcess child;
  child.command = "surely-no-such-program";
  const auto output = run_child(child, {});
  ASSERT_FALSE(output);
  EXPECT_TRUE(output.error().not_found);
  EXPECT_THAT(output.error().message, HasSubstr("surely-no-such-program could not be started: No such file"));
}

}  // namespace
}  // namespace poolwarden::kube

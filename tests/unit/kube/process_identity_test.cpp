#include "kube/process_identity.h"

#include <csignal>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::kube {
namespace {

using testing::StartsWith;

const std::string kElection = "default/poolwarden";

// A name of this test process's own: others may run beside it.
std::string host(const std::string& what) {
  return "test-" + std::to_string(getpid()) + "-" + what;
}

TEST(ProcessIdentity, WhoComesAfterADeadProcessHasItsName) {
  std::string first;
  {
    const auto identity = ProcessIdentity::claim(host("a"), kElection);
    EXPECT_TRUE(identity.outlives_process());
    EXPECT_THAT(identity.name(), StartsWith(host("a") + "_"));
    first = identity.name();
  }
  EXPECT_EQ(ProcessIdentity::claim(host("a"), kElection).name(), first);
}

TEST(ProcessIdentity, TwoThatLiveNeverHaveTheSame) {
  const auto first = ProcessIdentity::claim(host("b"), kElection);
  const auto second = ProcessIdentity::claim(host("b"), kElection);
  const auto third = ProcessIdentity::claim(host("b"), kElection);
  EXPECT_TRUE(first.outlives_process());
  EXPECT_FALSE(second.outlives_process());
  EXPECT_FALSE(third.outlives_process());
  EXPECT_NE(first.name(), second.name());
  EXPECT_NE(second.name(), third.name());
  EXPECT_THAT(second.name(), StartsWith(host("b") + "_"));
}

TEST(ProcessIdentity, AStoppedProcessKeepsItsNameAKilledOneDoesNot) {
  int pipe_ends[2] = {};
  ASSERT_EQ(pipe(pipe_ends), 0);
  const std::string name = host("c");
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto identity = ProcessIdentity::claim(name, kElection);
    const char claimed = identity.outlives_process() ? 'y' : 'n';
    if (write(pipe_ends[1], &claimed, 1) == 1) pause();
    _exit(0);
  }
  char claimed = 0;
  ASSERT_EQ(read(pipe_ends[0], &claimed, 1), 1);
  EXPECT_EQ(claimed, 'y');
  kill(child, SIGSTOP);
  EXPECT_FALSE(ProcessIdentity::claim(name, kElection).outlives_process());
  kill(child, SIGKILL);
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(ProcessIdentity::claim(name, kElection).outlives_process());
  close(pipe_ends[0]);
  close(pipe_ends[1]);
}

TEST(ProcessIdentity, AnotherElectionIsAnotherSocket) {
  const auto first = ProcessIdentity::claim(host("d"), "default/one");
  const auto second = ProcessIdentity::claim(host("d"), "default/two");
  EXPECT_TRUE(first.outlives_process());
  EXPECT_TRUE(second.outlives_process());
}

TEST(ProcessIdentity, NamesOfAnyLengthCanBeClaimed) {
  const std::string longest = host("e") + std::string(300, 'x');
  EXPECT_TRUE(ProcessIdentity::claim(longest, std::string(400, 'y')).outlives_process());
}

}  // namespace
}  // namespace poolwarden::kube

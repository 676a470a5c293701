// `watch`, and what looks different on a terminal.
#include "command_bench.h"

#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::integration {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

// A program on a terminal of its own, 24 lines of 80 characters.
class OnTerminal {
 public:
  OnTerminal(std::vector<std::string> argv, std::vector<std::string> env) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = 80;
    pid_ = ::forkpty(&master_, nullptr, nullptr, &size);
    if (pid_ != 0) return;
    std::vector<char*> arguments;
    for (std::string& each : argv) arguments.push_back(each.data());
    arguments.push_back(nullptr);
    std::vector<char*> environment;
    for (std::string& each : env) environment.push_back(each.data());
    environment.push_back(nullptr);
    ::execve(arguments[0], arguments.data(), environment.data());
    ::_exit(127);
  }
  ~OnTerminal() {
    if (!ended_) ::kill(pid_, SIGKILL);
    if (!ended_) ::waitpid(pid_, nullptr, 0);
    ::close(master_);
  }
  OnTerminal(const OnTerminal&) = delete;
  OnTerminal& operator=(const OnTerminal&) = delete;

  bool shows(const std::string& part) {
    return eventually([&] { return read().find(part) != std::string::npos; }, 30s);
  }
  const std::string& text() const { return text_; }
  void type(char key) { EXPECT_EQ(::write(master_, &key, 1), 1); }
  int wait() {
    int status = 0;
    ended_ = eventually(
        [&] {
          read();
          return ::waitpid(pid_, &status, WNOHANG) == pid_;
        },
        30s);
    return ended_ && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

 private:
  const std::string& read() {
    pollfd waiting{master_, POLLIN, 0};
    char buffer[4096];
    while (::poll(&waiting, 1, 0) > 0 && (waiting.revents & POLLIN) != 0) {
      const ssize_t count = ::read(master_, buffer, sizeof buffer);
      if (count <= 0) break;
      text_.append(buffer, static_cast<std::size_t>(count));
    }
    return text_;
  }

  int master_ = -1;
  pid_t pid_ = -1;
  bool ended_ = false;
  std::string text_;
};

TEST(WatchCommand, ALineForEachChange) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(2, 3));
  const auto program = bench.begin({"watch"});
  ASSERT_TRUE(program->wait_for_line("default/vllm: pod vllm-1 ready", 20s)) << program->output();
  EXPECT_EQ(bench.run({"drain", "vllm-1"}).code, 0);
  EXPECT_TRUE(program->wait_for_line("pod vllm-1 draining for", 20s)) << program->output();
  EXPECT_TRUE(program->wait_for_line("pod vllm-1 drained", 20s)) << program->output();
  // What is cut is taken up again.
  bench.server().drop_connections();
  EXPECT_EQ(bench.run({"drain", "vllm-1", "--undo"}).code, 0);
  EXPECT_TRUE(eventually([&] {
    const std::string text = program->output();
    return text.rfind("pod vllm-1 ready") > text.find("pod vllm-1 drained");
  })) << program->output();
  EXPECT_THAT(program->output(), Not(HasSubstr("\x1b")));
  program->signal(SIGINT);
  EXPECT_EQ(program->wait_for_exit(10s), 0);
}

TEST(WatchCommand, EndsWithItsPool) {
  CommandBench bench;
  bench.store_pool(1, json::object());
  const auto program = bench.begin({"watch", "vllm"});
  ASSERT_TRUE(program->wait_for_line("default/vllm", 20s)) << program->output();
  bench.request(kube::HttpMethod::kDelete, std::string(kPoolsPath) + "vllm");
  EXPECT_EQ(program->wait_for_exit(20s), 0) << program->output();
  EXPECT_THAT(program->output(), HasSubstr("pool default/vllm was deleted"));
}

TEST(WatchCommand, WhatCannotBeWatched) {
  CommandBench bench;
  EXPECT_THAT(bench.run({"watch"}).err, HasSubstr("is its CustomResourceDefinition installed?"));
  bench.install_crd();
  const Said none = bench.run({"watch", "nope"});
  EXPECT_EQ(none.code, 1);
  EXPECT_THAT(none.err, HasSubstr("there is no inferencepools.poolwarden.io nope in namespace default"));
  bench.deny("list", "inferencepools");
  const Said forbidden = bench.run({"watch", "-A"});
  EXPECT_EQ(forbidden.code, 1);
  EXPECT_THAT(forbidden.err, HasSubstr("needs verb list on inferencepools.poolwarden.io in all namespaces"));
  bench.deny("watch", "inferencepools");
  const Said half = bench.run({"watch"});
  EXPECT_EQ(half.code, 1);
  EXPECT_THAT(half.err, HasSubstr("needs verb watch on inferencepools.poolwarden.io in namespace default"));
  bench.server().stop();
  EXPECT_EQ(bench.run({"watch"}).code, 1);
}

TEST(Terminal, WatchDrawsOverItself) {
  CommandBench bench;
  bench.store_pool(2, {{"servingReplicas", 2}});
  OnTerminal terminal({POOLWARDEN, "watch", "--kubeconfig", bench.kubeconfig()}, {"TERM=xterm", "HOME=/"});
  ASSERT_TRUE(terminal.shows("NotReported")) << terminal.text();
  EXPECT_THAT(terminal.text(),
              AllOf(HasSubstr("\x1b[2J\x1b[H"), HasSubstr("\x1b[1mPOOL"), HasSubstr("vllm")));
  bench.patch(std::string(kPoolsPath) + "vllm", {{"spec", {{"replicas", 7}}}});
  EXPECT_TRUE(terminal.shows("   7   ")) << terminal.text();
  bench.server().refuse_for(20s);
  bench.server().drop_connections();
  EXPECT_TRUE(terminal.shows("inferencepools in namespace default:")) << terminal.text();
  terminal.type('\x03');
  EXPECT_EQ(terminal.wait(), 0) << terminal.text();
}

TEST(Terminal, WatchedTextCannotDraw) {
  CommandBench bench;
  bench.store_pool(1, {{"endpoints", {{{"pod", "\x1b]0;x\x07\n\u202e"}, {"state", "withdrawn"}}}}});
  OnTerminal terminal({POOLWARDEN, "watch", "--kubeconfig", bench.kubeconfig()}, {"TERM=xterm", "HOME=/"});
  ASSERT_TRUE(terminal.shows(R"(\x1b]0;x\x07\n\u202e)")) << terminal.text();
  EXPECT_THAT(terminal.text(),
              AllOf(Not(HasSubstr("\x1b]")), Not(HasSubstr("\x07")), Not(HasSubstr("\u202e"))));
  terminal.type('\x03');
  EXPECT_EQ(terminal.wait(), 0) << terminal.text();
}

TEST(Terminal, ColoursUnlessTheyAreNotWanted) {
  CommandBench bench;
  bench.store_pool(1, json::object());
  const auto status = [&](std::vector<std::string> flags, std::vector<std::string> env) {
    std::vector<std::string> argv = {POOLWARDEN, "status", "--kubeconfig", bench.kubeconfig()};
    argv.insert(argv.end(), flags.begin(), flags.end());
    env.push_back("HOME=/");
    OnTerminal terminal(argv, env);
    EXPECT_EQ(terminal.wait(), 0) << terminal.text();
    return terminal.text();
  };
  EXPECT_THAT(status({}, {"TERM=xterm"}), HasSubstr("\x1b[1m"));
  EXPECT_THAT(status({}, {"TERM=xterm", "NO_COLOR=1"}), Not(HasSubstr("\x1b")));
  EXPECT_THAT(status({}, {"TERM=dumb"}), Not(HasSubstr("\x1b")));
  EXPECT_THAT(status({"--color=never"}, {"TERM=xterm"}), Not(HasSubstr("\x1b")));
  EXPECT_THAT(status({"--color=always"}, {"TERM=xterm", "NO_COLOR=1"}), HasSubstr("\x1b[1m"));
}

TEST(Terminal, ADrainIsDrawnOnOneLine) {
  CommandBench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start_pool(1, 5));
  OnTerminal terminal({POOLWARDEN, "drain", "vllm-0", "--kubeconfig", bench.kubeconfig()},
                      {"TERM=xterm", "HOME=/"});
  EXPECT_EQ(terminal.wait(), 0) << terminal.text();
  EXPECT_THAT(terminal.text(),
              AllOf(ContainsRegex("\rpod default/vllm-0: draining for [1-9] s"), HasSubstr("is drained")));
}

}  // namespace
}  // namespace poolwarden::integration

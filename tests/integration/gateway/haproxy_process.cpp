#include "haproxy_process.h"

#include "gateway/haproxy_answers.h"
#include "gateway/haproxy_socket.h"

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

std::string program() {
  for (const char* path : {"/usr/sbin/haproxy", "/usr/local/sbin/haproxy", "/usr/bin/haproxy"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  ADD_FAILURE() << "these tests need HAProxy: apt-get install haproxy";
  return "/usr/sbin/haproxy";
}

}  // namespace

HaproxyProcess::HaproxyProcess(std::string config)
    : config_(std::move(config)), ip_(fresh_ip()), socket_(directory_.file("admin.sock")) {}

void HaproxyProcess::start() {
  run({});
}

void HaproxyProcess::reload() {
  before_.push_back(std::move(process_));
  run({"-x", socket_, "-sf", std::to_string(before_.back().id())});
}

void HaproxyProcess::run(std::vector<std::string> more) {
  std::vector<std::string> command{program(), "-db", "-f", config_};
  command.insert(command.end(), more.begin(), more.end());
  process_.start(std::move(command), directory_.file("stderr"),
                 std::vector<std::string>{fmt::format("GATEWAY_BIND={}:{}", ip_, kPort),
                                          "GATEWAY_SOCKET=" + socket_, "GATEWAY_STATE=" + state_path()});
  HaproxySocket control(UnixPath{socket_});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto answers = control.ask({"show info"});
    if (answers) {
      // A stale socket file may still belong to the process before.
      const auto info = parse_info(answers->front());
      if (!info || info->pid == process_.id()) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL() << "HAProxy did not start: " << log();
}

std::string HaproxyProcess::log() const {
  return contents_of(directory_.file("stderr"));
}

std::string check_config(const std::string& file, int* code) {
  const TempDir directory;
  const std::string out = directory.file("out");
  // As gateway-sync leaves it before there is anything to keep.
  const std::string state = directory.file("state");
  std::ofstream(state) << kEmptyStateFile;
  const std::string command =
      fmt::format("GATEWAY_STATE='{}' {} -c -f '{}' >'{}' 2>&1", state, program(), file, out);
  *code = std::system(command.c_str());
  return contents_of(out);
}

}  // namespace poolwarden::gateway

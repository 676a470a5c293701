#include "haproxy_process.h"

#include "gateway/haproxy_answers.h"
#include "gateway/haproxy_socket.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

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

std::string read_all(const std::string& path) {
  std::ifstream in(path);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

std::string fresh_ip() {
  static std::atomic<unsigned> last{1};
  const auto pid = static_cast<unsigned>(::getpid());
  return fmt::format("127.{}.{}.{}", 100 + pid % 100, pid / 100 % 250, 1 + last++ % 250);
}

TempDir::TempDir() {
  std::string pattern = (std::filesystem::temp_directory_path() / "poolwarden-gateway-XXXXXX").string();
  if (::mkdtemp(pattern.data()) == nullptr) ADD_FAILURE() << "cannot make a directory " << pattern;
  path_ = pattern;
}
TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

HaproxyProcess::HaproxyProcess(std::string config)
    : config_(std::move(config)), ip_(fresh_ip()), socket_(directory_.file("admin.sock")) {}

HaproxyProcess::~HaproxyProcess() {
  kill();
}

void HaproxyProcess::start() {
  const std::string bind = fmt::format("GATEWAY_BIND={}:{}", ip_, kPort);
  const std::string socket = "GATEWAY_SOCKET=" + socket_;
  const std::string path = program();
  const std::string errors = directory_.file("stderr");
  pid_ = ::fork();
  ASSERT_GE(pid_, 0);
  if (pid_ == 0) {
    const int out = ::open(errors.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
    ::dup2(out, 1);
    ::dup2(out, 2);
    const char* arguments[] = {path.c_str(), "-db", "-f", config_.c_str(), nullptr};
    const char* environment[] = {bind.c_str(), socket.c_str(), nullptr};
    ::execve(path.c_str(), const_cast<char**>(arguments), const_cast<char**>(environment));
    ::_exit(127);
  }
  HaproxySocket control(UnixPath{socket_});
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto answers = control.ask({"show info"});
    if (answers) {
      // A stale socket file may still belong to the process before.
      const auto info = parse_info(answers->front());
      if (!info || info->pid == pid_) return;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  FAIL() << "HAProxy did not start: " << log();
}

void HaproxyProcess::kill() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string HaproxyProcess::log() const {
  return read_all(directory_.file("stderr"));
}

std::string check_config(const std::string& file, int* code) {
  const TempDir directory;
  const std::string out = directory.file("out");
  const std::string command = fmt::format("{} -c -f '{}' >'{}' 2>&1", program(), file, out);
  *code = std::system(command.c_str());
  return read_all(out);
}

}  // namespace poolwarden::gateway

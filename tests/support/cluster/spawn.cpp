#include "support/cluster/spawn.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <climits>
#include <fmt/format.h>

namespace poolwarden::cluster {
namespace {

// What a container would have from its image, and what sanitizers need to be told.
constexpr std::array kInherited = {"PATH",         "HOME",          "TMPDIR",       "LD_LIBRARY_PATH",
                                   "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"};

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return name;
  const char* path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  while (!rest.empty()) {
    const std::size_t colon = rest.find(':');
    std::string candidate = std::string(rest.substr(0, colon)) + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return name;
}

std::vector<std::string> environment_of(const SpawnSpec& spec) {
  std::vector<std::string> env;
  for (const char* name : kInherited) {
    if (const char* value = std::getenv(name); value != nullptr)
      env.push_back(fmt::format("{}={}", name, value));
  }
  for (const auto& [name, value] : spec.env) {
    // The last of a name wins, as in Kubernetes.
    std::erase_if(env, [&](const std::string& each) { return each.rfind(name + "=", 0) == 0; });
    env.push_back(name + "=" + value);
  }
  return env;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& each : strings) result.push_back(each.data());
  result.push_back(nullptr);
  return result;
}

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) == 0) {
      read = ends[0];
      write = ends[1];
    }
  }
  ~Pipe() {
    if (read >= 0) ::close(read);
    if (write >= 0) ::close(write);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
};

// In the child, between fork and exec: only async-signal-safe calls.
[[noreturn]] void become(const char* program, char* const* argv, char* const* env, int output, int error,
                         pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // it died before the line above
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int null = ::open("/dev/null", O_RDONLY);
  ::dup2(null, STDIN_FILENO);
  ::dup2(output, STDOUT_FILENO);
  ::dup2(output, STDERR_FILENO);
  ::syscall(SYS_close_range, 3U, UINT_MAX, CLOSE_RANGE_CLOEXEC);
  ::execve(program, argv, env);
  const int why = errno;
  if (::write(error, &why, sizeof why) < 0) ::_exit(126);
  ::_exit(127);
}

}  // namespace

tl::expected<Child, std::string> spawn(const SpawnSpec& spec) {
  if (spec.argv.empty()) return tl::unexpected(std::string("there is no command to run"));
  const std::string program = find_program(spec.argv.front());
  std::vector<std::string> arguments = spec.argv;
  std::vector<std::string> environment = environment_of(spec);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> env = pointers(environment);
  Pipe output;
  Pipe error;
  if (output.read < 0 || error.read < 0) {
    return tl::unexpected(fmt::format("cannot make a pipe for {}: {}", program, std::strerror(errno)));
  }
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return tl::unexpected(fmt::format("cannot fork for {}: {}", program, std::strerror(errno)));
  if (pid == 0) become(program.c_str(), argv.data(), env.data(), output.write, error.write, parent);
  ::setpgid(pid, pid);  // also here: whoever comes first
  ::close(std::exchange(error.write, -1));
  int why = 0;
  if (::read(error.read, &why, sizeof why) == sizeof why) {
    ::waitpid(pid, nullptr, 0);
    return tl::unexpected(fmt::format("cannot run {}: {}", program, std::strerror(why)));
  }
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    const std::string problem = std::strerror(errno);
    kill_group(pid);
    ::waitpid(pid, nullptr, 0);
    return tl::unexpected(fmt::format("cannot watch {}: {}", program, problem));
  }
  return Child{pid, pidfd, std::exchange(output.read, -1)};
}

void kill_group(pid_t pid) {
  ::kill(-pid, SIGKILL);
}

int reap(pid_t pid) {
  siginfo_t info{};
  ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT);
  kill_group(pid);  // while the zombie still holds its number, so that no other group can be meant
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace poolwarden::cluster

#include "support/cluster/process_runtime.h"

#include "support/cluster/launch.h"
#include "support/cluster/spawn.h"

#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::cluster {
namespace {

constexpr std::size_t kProberThreads = 8;
constexpr int kReadsAtOnce = 16;  // a process that never stops writing must not hold the others up

}  // namespace

const std::vector<std::string>* find_image(const ImageTable& images, std::string_view image) {
  const auto lookup = [&images](std::string_view name) {
    const auto found = images.find(name);
    return found == images.end() ? nullptr : &found->second;
  };
  if (const auto* found = lookup(image); found != nullptr) return found;
  const std::string_view untagged = image.substr(0, image.find('@'));
  const std::size_t slash = untagged.rfind('/');
  const std::size_t name_at = slash == std::string_view::npos ? 0 : slash + 1;
  const std::size_t colon = untagged.find(':', name_at);
  const std::string_view bare = untagged.substr(0, colon);
  if (const auto* found = lookup(bare); found != nullptr) return found;
  return lookup(bare.substr(name_at));
}

ProcessRuntime::ProcessRuntime(ImageTable images, std::shared_ptr<LogStore> logs, std::function<void()> wake)
    : images_(std::move(images)),
      logs_(std::move(logs)),
      wake_(std::move(wake)),
      poke_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      prober_(std::make_unique<Prober>(kProberThreads)),
      thread_([this] { loop(); }) {}

ProcessRuntime::~ProcessRuntime() {
  prober_.reset();
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  poke();
  thread_.join();
  for (auto& [pidfd, process] : processes_) {
    kill_group(process.pid);
    reap(process.pid);
    if (process.log) process.log->close();
    if (process.output >= 0) ::close(process.output);
    ::close(pidfd);
  }
  ::close(poke_fd_);
}

void ProcessRuntime::poke() {
  const std::uint64_t one = 1;
  if (::write(poke_fd_, &one, sizeof one) < 0) return;  // already full: the thread will look anyway
}

void ProcessRuntime::push(RuntimeEvent event) {
  {
    const std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
  }
  wake_();
}

ProcessRuntime::Process* ProcessRuntime::find(const ContainerRef& ref) {
  for (auto& [pidfd, process] : processes_) {
    if (process.role == Role::kContainer && process.ref == ref) return &process;
  }
  return nullptr;
}

void ProcessRuntime::add(Process process) {
  ::fcntl(process.output, F_SETFL, O_NONBLOCK);
  const ContainerRef ref = process.ref;
  const bool is_container = process.role == Role::kContainer;
  {
    const std::lock_guard lock(mutex_);
    const int pidfd = process.pidfd;
    processes_.emplace(pidfd, std::move(process));
    // Before the I/O thread can see it exit.
    if (is_container) events_.emplace_back(runtime_event::Started{ref});
  }
  poke();
  wake_();
}

void ProcessRuntime::start(const ContainerRef& ref, const LaunchSpec& spec, Timestamp /*now*/) {
  SpawnSpec what{spec.command, spec.env};
  if (what.argv.empty()) {
    const std::vector<std::string>* entry = find_image(images_, spec.image);
    if (entry == nullptr) {
      return push(runtime_event::StartFailed{
          ref, "ErrImagePull",
          fmt::format("no command is known for the image \"{}\"; name it with --image", spec.image)});
    }
    for (const std::string& word : *entry) what.argv.push_back(expand(word, spec.env));
  }
  what.argv.insert(what.argv.end(), spec.args.begin(), spec.args.end());
  auto child = spawn(what);
  if (!child) return push(runtime_event::StartFailed{ref, "RunContainerError", child.error()});
  add({ref, Role::kContainer, child->pid, child->pidfd, child->output,
       logs_->open(spec.ns, spec.pod, ref.container), spec});
}

void ProcessRuntime::run_hook(const ContainerRef& ref, const std::vector<std::string>& command,
                              Timestamp /*now*/) {
  SpawnSpec what{command, {}};
  {
    const std::lock_guard lock(mutex_);
    const Process* process = find(ref);
    if (process == nullptr) return;
    what.env = process->spec.env;
  }
  auto child = spawn(what);
  // A hook that cannot run does not hold the stop up.
  if (!child) return push(runtime_event::HookDone{ref});
  add({ref, Role::kHook, child->pid, child->pidfd, child->output, nullptr, {}});
}

void ProcessRuntime::signal(const ContainerRef& ref, Signal signal, Timestamp /*now*/) {
  const std::lock_guard lock(mutex_);
  const Process* process = find(ref);
  if (process == nullptr) return;  // it has exited, and the event says so
  // A container's first process gets SIGTERM; SIGKILL ends the container, with all that runs in it.
  signal == Signal::kTerm ? static_cast<void>(::kill(process->pid, SIGTERM)) : kill_group(process->pid);
}

void ProcessRuntime::probe(const ContainerRef& ref, ProbeRole role, const ProbeSpec& spec,
                           Timestamp /*now*/) {
  ProbeTarget target{spec, {}, {}};
  {
    const std::lock_guard lock(mutex_);
    const Process* process = find(ref);
    if (process == nullptr) return;
    target.ip = process->spec.ip;
    target.env = process->spec.env;
  }
  prober_->submit(std::move(target), [this, ref, role](bool success) {
    push(runtime_event::Probed{ref, role, success});
  });
}

std::vector<RuntimeEvent> ProcessRuntime::take_events(Timestamp /*now*/) {
  const std::lock_guard lock(mutex_);
  return std::exchange(events_, {});
}

bool ProcessRuntime::drain_output(Process& process) {
  std::array<char, 16 * 1024> buffer;
  for (int i = 0; i < kReadsAtOnce; ++i) {
    const ssize_t got = ::read(process.output, buffer.data(), buffer.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    if (got <= 0) {
      ::close(std::exchange(process.output, -1));
      return false;
    }
    if (process.log) {
      process.log->append({buffer.data(), static_cast<std::size_t>(got)}, std::chrono::system_clock::now());
    }
  }
  return true;
}

// Lock held. Output first: the last words of a process are often the interesting ones.
void ProcessRuntime::finish(std::map<int, Process>::iterator it) {
  Process& process = it->second;
  if (process.output >= 0 && drain_output(process)) ::close(process.output);
  if (process.log) process.log->close();
  const int code = reap(process.pid);
  ::close(it->first);
  const ContainerRef ref = process.ref;
  const Role role = process.role;
  processes_.erase(it);
  if (role == Role::kHook) {
    events_.emplace_back(runtime_event::HookDone{ref});
    return;
  }
  events_.emplace_back(runtime_event::Exited{ref, code});
  for (const auto& [pidfd, other] : processes_) {
    if (other.role == Role::kHook && other.ref == ref) kill_group(other.pid);
  }
}

void ProcessRuntime::loop() {
  std::vector<pollfd> entries;
  while (true) {
    entries.assign(1, {poke_fd_, POLLIN, 0});
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return;
      for (const auto& [pidfd, process] : processes_) {
        entries.push_back({pidfd, POLLIN, 0});
        if (process.output >= 0) entries.push_back({process.output, POLLIN, 0});
      }
    }
    ::poll(entries.data(), entries.size(), -1);
    std::uint64_t count = 0;
    if (entries.front().revents != 0 && ::read(poke_fd_, &count, sizeof count) < 0) continue;
    bool exited = false;
    {
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 1; i < entries.size(); ++i) {
        const auto it = processes_.find(entries[i].fd);
        if (it == processes_.end() || entries[i].revents == 0) continue;
        finish(it);
        exited = true;
      }
      for (auto& [pidfd, process] : processes_) {
        if (process.output >= 0) drain_output(process);
      }
    }
    if (exited) wake_();
  }
}

}  // namespace poolwarden::cluster

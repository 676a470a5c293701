// A runtime of real processes: each container is a program on this machine, on its pod's own address.
//
// There are no images: a table says which command an image's name stands for. A container's `args` are added
// to it, a container's `command` replaces it, as in Kubernetes. Output goes to a LogStore.
// The thread that calls start() must live as long as the runtime (spawn.h says why). One more thread reads
// output and notices exits; a few carry out probes. Destruction kills every process and its group.
#pragma once

#include "support/cluster/log_buffer.h"
#include "support/cluster/prober.h"
#include "support/cluster/runtime.h"

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace poolwarden::cluster {

// Image name -> command line. "registry/vllm:v1" is looked up as it is, without the tag, and as "vllm".
using ImageTable = std::map<std::string, std::vector<std::string>, std::less<>>;
const std::vector<std::string>* find_image(const ImageTable& images, std::string_view image);

class ProcessRuntime : public PodRuntime {
 public:
  // `wake` is called from other threads when take_events() has something; it must be short and thread-safe.
  ProcessRuntime(ImageTable images, std::shared_ptr<LogStore> logs, std::function<void()> wake);
  ~ProcessRuntime() override;

  void start(const ContainerRef& ref, const LaunchSpec& spec, Timestamp now) override;
  void signal(const ContainerRef& ref, Signal signal, Timestamp now) override;
  void probe(const ContainerRef& ref, ProbeRole role, const ProbeSpec& spec, Timestamp now) override;
  void run_hook(const ContainerRef& ref, const std::vector<std::string>& command, Timestamp now) override;
  std::vector<RuntimeEvent> take_events(Timestamp now) override;
  std::optional<Timestamp> next_event() const override { return std::nullopt; }  // `wake` tells

 private:
  enum class Role : std::uint8_t { kContainer, kHook };
  struct Process {
    ContainerRef ref;
    Role role = Role::kContainer;
    pid_t pid = -1;
    int pidfd = -1;
    int output = -1;  // -1: at its end
    std::shared_ptr<LogBuffer> log;
    LaunchSpec spec;
  };

  void push(RuntimeEvent event);  // any thread
  void add(Process process);
  void loop();                          // the I/O thread
  bool drain_output(Process& process);  // false: at its end
  void finish(std::map<int, Process>::iterator it);
  void poke();
  Process* find(const ContainerRef& ref);  // lock held

  const ImageTable images_;
  const std::shared_ptr<LogStore> logs_;
  const std::function<void()> wake_;
  int poke_fd_ = -1;

  mutable std::mutex mutex_;          // protects all below
  std::map<int, Process> processes_;  // by pidfd
  std::vector<RuntimeEvent> events_;
  bool stopping_ = false;

  std::unique_ptr<Prober> prober_;
  std::thread thread_;
};

}  // namespace poolwarden::cluster

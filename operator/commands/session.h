// One command's connection to the API server: calls that wait for their answer, and end early when the person
// presses Ctrl-C.
//
// Used by one thread. Must be made before the process has any other, as it blocks SIGINT and SIGTERM in it.
// A second Ctrl-C ends the process at once.
#pragma once

#include "api/time.h"
#include "kube/client.h"
#include "kube/kubeconfig.h"
#include "kube/result.h"
#include "kube/server_clock.h"
#include "kube/thread_annotations.h"
#include "telemetry/stop_signals.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::commands {

class Session {
 public:
  static kube::Result<std::unique_ptr<Session>> open(const kube::AccessOptions& access,
                                                     const std::string& ns);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // --namespace, or else the context's.
  const std::string& ns() const { return ns_; }
  kube::Client& client() { return client_; }

  // The object that answers. kShutdown after Ctrl-C.
  kube::Result<nlohmann::json> call(const kube::Call& call);
  // All pages. `scope` has the namespace (empty: all) and the selectors.
  kube::Result<std::vector<nlohmann::json>> list(kube::Call scope);

  // With the API server's wall clock, once it has answered: what objects say was written by that one, and a
  // person's machine may have another.
  api::Now now() const;
  // False: Ctrl-C came before the time was over.
  bool pause(std::chrono::milliseconds time);
  bool interrupted() const;
  // Called once on Ctrl-C, on a thread of its own; at once if it came already.
  void on_interrupt(std::function<void()> react);

 private:
  struct Waiting;

  Session(std::shared_ptr<Waiting> waiting, std::unique_ptr<telemetry::StopSignals> signals,
          std::unique_ptr<kube::Transport> transport, std::string ns);

  std::shared_ptr<Waiting> waiting_;  // shared with callbacks, which may come late
  std::unique_ptr<telemetry::StopSignals> signals_;
  kube::ServerClock clock_;
  std::unique_ptr<kube::Transport> transport_;
  kube::DatedTransport dated_;
  kube::Client client_;
  std::string ns_;
};

}  // namespace poolwarden::commands

// Gives each request its credential, fresh. A token file is read again as the kubelet rotates it. An exec
// plugin is run again before what it gave expires, or once after the API server answered 401.
//
// Threads: any. get() never blocks on a plugin: plugins run on a thread of the object's own, one at a time,
// with a deadline. Destroying the object ends a running plugin; those who wait for it get an error.
#pragma once

#include "kube/cluster_access.h"
#include "kube/time.h"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <tl/expected.hpp>

namespace poolwarden::kube {

struct Credential {
  std::string authorization;  // the header's value; empty: send none
  // From an exec plugin; empty: as the ClusterAccess says.
  std::string client_certificate_pem;
  std::string client_key_pem;
  std::uint64_t generation = 0;  // another credential, another number
};

// What an exec plugin printed.
struct ExecCredential {
  Credential credential;
  std::optional<WallTime> expires;
};
tl::expected<ExecCredential, std::string> parse_exec_credential(const ExecPlugin& plugin,
                                                                std::string_view output);
// When to run the plugin again: a little before the expiry, so that no request meets it on the way.
bool still_usable(const ExecCredential& held, WallTime now);

class Credentials {
 public:
  using Done = std::function<void(tl::expected<Credential, std::string>)>;  // the error is for a person
  using Clock = std::function<WallTime()>;

  explicit Credentials(CredentialConfig config, Clock clock = std::chrono::system_clock::now,
                       std::chrono::milliseconds plugin_deadline = std::chrono::seconds(30));
  ~Credentials();
  Credentials(const Credentials&) = delete;
  Credentials& operator=(const Credentials&) = delete;

  // Calls `done` once: before returning if a usable credential is at hand, else from the object's thread.
  void get(const Done& done);
  // The API server answered 401 to `generation`. True if asking again may give something else.
  bool refused(std::uint64_t generation);

 private:
  tl::expected<Credential, std::string> from_file(const std::string& path, WallTime now);
  void run_plugins(const std::stop_token& stop);

  const CredentialConfig config_;
  const Clock clock_;
  const std::chrono::milliseconds plugin_deadline_;

  std::mutex mutex_;  // guards all below; never held over a callback or a plugin
  std::condition_variable_any wake_;
  // A token file, as last read.
  std::optional<Credential> file_token_;
  WallTime file_read_at_{};
  std::uint64_t file_stamp_ = 0;  // changes with the file's identity or modification time
  // An exec plugin.
  std::optional<ExecCredential> exec_;
  std::uint64_t generation_ = 1;
  std::string failure_;  // of the last run, repeated for a moment instead of running again
  WallTime failed_at_{};
  std::vector<Done> waiting_;
  bool stopping_ = false;
  std::jthread runner_;  // last: joined before the rest goes
};

}  // namespace poolwarden::kube

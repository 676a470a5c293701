#include "gateway/envoy.h"

#include <algorithm>
#include <thread>
#include <utility>

#include <fmt/format.h>

namespace poolwarden::gateway {
namespace {

using Clock = std::chrono::steady_clock;
// Uptimes are whole seconds, and the answer takes its time.
constexpr std::chrono::seconds kUnsharp{3};

}  // namespace

Plan EnvoyObservation::plan(const std::vector<WantedServer>& wanted) const {
  return make_envoy_plan(wanted, snapshot_, cluster_);
}

std::vector<ServerAddress> EnvoyObservation::addresses() const {
  std::vector<ServerAddress> out;
  for (const EnvoyHost& host : agreed(snapshot_)) out.push_back(host.address);
  return out;
}

Process EnvoyLife::seen(const EnvoyServer& server, kube::TimePoint now) {
  const kube::TimePoint started = now - server.uptime;
  const bool same =
      started_ && server.epoch == epoch_ && server.uptime >= uptime_ && started < *started_ + kUnsharp;
  if (!same) {
    started_ = started;
    ++lives_;
  }
  uptime_ = server.uptime;
  epoch_ = server.epoch;
  return {fmt::format("{}/{}", lives_, epoch_), server.version};
}

// Envoy reads a file as JSON if its name says so.
Envoy::Envoy(EnvoyOptions options)
    : options_(std::move(options)),
      file_(fmt::format("{}/{}.json", options_.directory, options_.cluster), "Envoy") {
  (void)read_file();  // what is wrong is said by observe()
}

std::string Envoy::where() const {
  return options_.admin ? fmt::format("{} and {}", file_.path(), options_.admin->to_string()) : file_.path();
}

kube::Result<void> Envoy::read_file() {
  auto text = file_.read();
  if (!text) return tl::unexpected(std::move(text.error()));
  if (!*text) {
    if (auto written = file_.replace(to_assignment(options_.cluster, snapshot_.held)); !written)
      return written;
    snapshot_.file = snapshot_.held;
    return {};
  }
  auto hosts = parse_assignment(**text, options_.cluster);
  // One that cannot be read is as if it had no hosts: it is then written anew.
  snapshot_.file = hosts ? std::move(*hosts) : std::vector<EnvoyHost>{};
  return {};
}

kube::Result<HttpAnswer> Envoy::ask(const std::string& path, kube::TimePoint deadline) const {
  const HttpTarget& admin = *options_.admin;
  auto answer = exchange(admin, HttpMethod::kGet, path, {}, deadline);
  const auto mend = [&](std::string_view what) {
    return fmt::format("{}. --envoy-admin must be the address of Envoy's own `admin:`, here {}:{}", what,
                       admin.host, admin.port);
  };
  if (!answer) {
    answer.error().message = mend(answer.error().message);
    return answer;
  }
  if (answer->status == 200) return answer;
  return tl::unexpected(
      kube::Error{kube::ErrorClass::kRetry, answer->status, "NotEnvoy",
                  mend(fmt::format("GET {}{} was answered with {}", admin.to_string(), path, answer->told())),
                  std::nullopt});
}

kube::Result<std::vector<EnvoyHost>> Envoy::ask_hosts(kube::TimePoint deadline) const {
  auto answer = ask("/clusters?format=json", deadline);
  if (!answer) return tl::unexpected(std::move(answer.error()));
  auto hosts = parse_clusters(answer->body, options_.cluster);
  if (!hosts) {
    hosts.error().message = fmt::format("{} ({})", hosts.error().message, options_.admin->to_string());
    return tl::unexpected(std::move(hosts.error()));
  }
  if (!*hosts) {
    return tl::unexpected(kube::Error{
        kube::ErrorClass::kRetry, 0, "NoCluster",
        fmt::format("Envoy at {} has no cluster '{}': correct --envoy-cluster, or have its bootstrap's "
                    "static_resources.clusters have a cluster of that name with {}",
                    options_.admin->to_string(), options_.cluster, config_lines()),
        std::nullopt});
  }
  return **std::move(hosts);
}

std::string Envoy::config_lines() const {
  return fmt::format(
      "`type: EDS`, `path_config_source.path: {}` and `watched_directory.path: {}` (as Envoy sees "
      "that directory)",
      file_.path(), options_.directory);
}

kube::Result<void> Envoy::look() {
  complaint_.reset();
  if (!options_.admin) {
    auto read = read_file();
    snapshot_.held = snapshot_.file;
    return read;
  }
  const kube::TimePoint deadline = Clock::now() + kDeadline;
  auto answered = [&]() -> kube::Result<void> {
    auto info = ask("/server_info", deadline);
    if (!info) return tl::unexpected(std::move(info.error()));
    const auto server = parse_server_info(info->body);
    if (!server) return tl::unexpected(server.error());
    auto hosts = ask_hosts(deadline);
    if (!hosts) return tl::unexpected(std::move(hosts.error()));
    process_ = life_.seen(*server, Clock::now());
    snapshot_.held = *std::move(hosts);
    return {};
  }();
  // Also of an Envoy that is away: it may not start without the file.
  const auto read = read_file();
  if (answered) {
    // What the file said last still counts. So what Envoy may yet take up of it is not forgotten.
    if (!read) complaint_ = read.error().message;
    return {};
  }
  if (!read) answered.error().message += "; and " + read.error().message;
  return answered;
}

kube::Result<std::shared_ptr<const Observation>> Envoy::observe() {
  if (auto looked = look(); !looked) return tl::unexpected(std::move(looked.error()));
  return std::make_shared<const EnvoyObservation>(snapshot_, process_, options_.cluster);
}

kube::Result<std::vector<std::optional<std::string>>> Envoy::carry_out(const std::vector<Command>& commands) {
  const std::string text = to_assignment(options_.cluster, with_commands(agreed(snapshot_), commands));
  auto before = file_.read();
  if (!before || *before != text) {
    if (auto written = file_.replace(text); !written) return tl::unexpected(std::move(written.error()));
  }
  std::vector<std::optional<std::string>> refusals(commands.size());
  if (!options_.admin) return refusals;
  const kube::TimePoint patience = Clock::now() + kPatience;
  std::vector<EnvoyHost> held;
  const auto taken = [&](const Command& command) { return is_carried_out(command, held); };
  while (true) {
    auto hosts = ask_hosts(Clock::now() + kDeadline);
    if (!hosts) return tl::unexpected(std::move(hosts.error()));
    held = *std::move(hosts);
    if (std::all_of(commands.begin(), commands.end(), taken)) return refusals;
    if (Clock::now() >= patience) break;
    std::this_thread::sleep_for(kAskAgain);
  }
  std::optional<std::string> why;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    if (taken(commands[i])) continue;
    if (!why) why = why_not_taken(commands[i]);
    refusals[i] = why;
  }
  return refusals;
}

std::string Envoy::why_not_taken(const Command& command) const {
  const std::string what = fmt::format("Envoy has not taken up '{}' from {} within {} ms", command.text,
                                       file_.path(), kPatience.count());
  EnvoyUpdates updates;
  if (const auto stats = ask(updates_path(options_.cluster), Clock::now() + kDeadline))
    updates = parse_updates(stats->body, options_.cluster);
  if (updates.rejected.value_or(0) > 0) {
    return fmt::format(
        "{}. It has rejected updates of cluster '{}' (update_rejected: {}), and its log says why: as a "
        "rule its eds_cluster_config.service_name is another name than '{}'; leave it out",
        what, options_.cluster, *updates.rejected, options_.cluster);
  }
  if (updates.failed.value_or(0) > 0) {
    return fmt::format(
        "{}. It could not read updates of cluster '{}' (update_failure: {}), and its log says why", what,
        options_.cluster, *updates.failed);
  }
  return fmt::format(
      "{}, and has rejected nothing: it does not follow this file. Its cluster '{}' needs {}; or its "
      "directory was made anew since: then restart Envoy",
      what, options_.cluster, config_lines());
}

}  // namespace poolwarden::gateway

#include "gateway/envoy_answers.h"

#include "base/hash.h"
#include "base/json_read.h"
#include "base/text.h"
#include "gateway/proxy_name.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

using base::array_at;
using base::member;
using base::string_at;
using nlohmann::json;

constexpr std::string_view kAssignmentType =
    "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";
constexpr std::size_t kMaxVersion = 100;

tl::unexpected<kube::Error> unreadable(std::string_view what, std::string_view why) {
  return tl::unexpected(kube::Error{kube::ErrorClass::kTerminal, 0, "Unreadable",
                                    fmt::format("{} cannot be read: {}", what, why), std::nullopt});
}

json parse(std::string_view text) {
  return json::parse(text, nullptr, false);
}

std::optional<std::int64_t> whole_number(std::string_view digits) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out);
  if (error != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
  return out;
}

// A number, or the same in a string.
std::optional<std::int64_t> number_at(const json& object, std::string_view key) {
  const json& value = member(object, key);
  if (value.is_string()) return whole_number(value.get_ref<const std::string&>());
  return base::integer_at<std::int64_t>(object, key);
}

EnvoyHealth to_health(const std::string& text) {
  if (text == "HEALTHY") return EnvoyHealth::kHealthy;
  return text == "DRAINING" ? EnvoyHealth::kDraining : EnvoyHealth::kOther;
}

std::string_view to_text(EnvoyHealth health) {
  return health == EnvoyHealth::kHealthy ? "HEALTHY" : "DRAINING";
}

std::optional<ServerAddress> address_of(const json& holder) {
  const json& socket = member(member(holder, "address"), "socket_address");
  return make_address(string_at(socket, "address"), number_at(socket, "port_value").value_or(0));
}

// Whatever a zone is called, it is not the place for more.
std::string zone_of(const json& locality) {
  std::string zone = string_at(locality, "zone");
  zone.resize(std::min(zone.size(), kMaxEnvoyZone));
  return zone;
}

std::int64_t busy_of(const json& host) {
  std::int64_t busy = 0;
  for (const json& stat : array_at(host, "stats")) {
    if (string_at(stat, "name") != "rq_active" || !stat.contains("value")) continue;
    // One that cannot be read counts as busy, so that the host is left alone.
    busy = std::max<std::int64_t>(busy, number_at(stat, "value").value_or(1));
  }
  return busy;
}

std::vector<EnvoyHost> each_once(std::vector<EnvoyHost> hosts) {
  std::stable_sort(hosts.begin(), hosts.end(),
                   [](const EnvoyHost& a, const EnvoyHost& b) { return a.address < b.address; });
  std::vector<EnvoyHost> out;
  out.reserve(hosts.size());
  for (EnvoyHost& host : hosts) {
    if (out.empty() || out.back().address != host.address) {
      out.push_back(std::move(host));
      continue;
    }
    out.back().health = EnvoyHealth::kOther;
    out.back().busy = std::max(out.back().busy, host.busy);
  }
  return out;
}

}  // namespace

kube::Result<EnvoyServer> parse_server_info(std::string_view body) {
  constexpr std::string_view kWhat = "Envoy's /server_info";
  const json info = parse(body);
  if (!info.is_object()) return unreadable(kWhat, "it is not a JSON object");
  std::string uptime = string_at(info, "uptime_current_epoch");
  // A protobuf Duration: "12s", "12.5s".
  if (uptime.ends_with('s')) uptime.pop_back();
  const auto seconds = whole_number(std::string_view(uptime).substr(0, uptime.find('.')));
  if (!seconds || *seconds < 0) return unreadable(kWhat, "it has no uptime_current_epoch such as \"12s\"");
  // "<commit>/1.40.0/Clean/RELEASE/BoringSSL"
  std::string version = string_at(info, "version");
  if (const auto slash = version.find('/'); slash != std::string::npos) {
    version = version.substr(slash + 1);
    version = version.substr(0, version.find('/'));
  }
  return EnvoyServer{base::ascii(std::string_view(version).substr(0, kMaxVersion)),
                     number_at(member(info, "command_line_options"), "restart_epoch").value_or(0),
                     std::chrono::seconds(std::min<std::int64_t>(*seconds, 1'000'000'000))};
}

kube::Result<std::optional<std::vector<EnvoyHost>>> parse_clusters(std::string_view body,
                                                                   const std::string& cluster) {
  const json clusters = parse(body);
  if (!clusters.is_object() || !(clusters.empty() || clusters.contains("cluster_statuses")))
    return unreadable("Envoy's /clusters?format=json", "it is not a JSON object with cluster_statuses");
  for (const json& status : array_at(clusters, "cluster_statuses")) {
    if (string_at(status, "name") != cluster) continue;
    std::vector<EnvoyHost> hosts;
    for (const json& host : array_at(status, "host_statuses")) {
      auto address = address_of(host);
      if (!address) continue;
      hosts.push_back({std::move(*address),
                       to_health(string_at(member(host, "health_status"), "eds_health_status")),
                       zone_of(member(host, "locality")), busy_of(host)});
    }
    return std::optional(each_once(std::move(hosts)));
  }
  return std::optional<std::vector<EnvoyHost>>();
}

EnvoyUpdates parse_updates(std::string_view body, const std::string& cluster) {
  std::string name = "cluster." + cluster;
  std::replace(name.begin(), name.end(), ':', '_');  // as Envoy does in the names of its statistics
  EnvoyUpdates updates;
  const json stats = parse(body);
  for (const json& stat : array_at(stats, "stats")) {
    const std::string which = string_at(stat, "name");
    if (which == name + ".update_rejected") updates.rejected = number_at(stat, "value");
    if (which == name + ".update_failure") updates.failed = number_at(stat, "value");
  }
  return updates;
}

std::string updates_path(const std::string& cluster) {
  std::string pattern;
  for (const char c : cluster) {
    if (c == '.')
      pattern += "%5C.";
    else
      pattern += c == ':' ? '_' : c;
  }
  return fmt::format("/stats?format=json&filter=%5Ecluster%5C.{}%5C.update_(rejected|failure)%24", pattern);
}

std::string to_assignment(const std::string& cluster, const std::vector<EnvoyHost>& hosts) {
  std::map<std::string_view, json> zones;
  for (const EnvoyHost& host : hosts) {
    json& endpoints = zones.try_emplace(host.zone, json::array()).first->second;
    const json address = {{"address", host.address.ip}, {"port_value", host.address.port}};
    endpoints.push_back({{"endpoint", {{"address", {{"socket_address", address}}}}},
                         {"health_status", to_text(host.health)}});
  }
  json localities = json::array();
  for (auto& [zone, endpoints] : zones) {
    json locality = {{"lb_endpoints", std::move(endpoints)}};
    locality["locality"] = zone.empty() ? json::object() : json{{"zone", zone}};
    localities.push_back(std::move(locality));
  }
  const json assignment = {
      {"@type", kAssignmentType}, {"cluster_name", cluster}, {"endpoints", std::move(localities)}};
  // Names may hold what is no UTF-8; a file that cannot be written is worse than one with a '?'.
  const auto dump = [](const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  };
  const std::string version = fmt::format("{:016x}", base::fnv1a(dump(assignment)));
  return dump({{"version_info", version}, {"resources", json::array({assignment})}}) + "\n";
}

kube::Result<std::vector<EnvoyHost>> parse_assignment(std::string_view text, const std::string& cluster) {
  constexpr std::string_view kWhat = "the file of endpoints";
  const json response = parse(text);
  const json& resources = array_at(response, "resources");
  if (resources.size() != 1) return unreadable(kWhat, "it is not a DiscoveryResponse with one resource");
  const json& assignment = resources.front();
  if (string_at(assignment, "cluster_name") != cluster)
    return unreadable(kWhat, fmt::format("its cluster_name is not '{}'", cluster));
  std::vector<EnvoyHost> hosts;
  for (const json& locality : array_at(assignment, "endpoints")) {
    const std::string zone = zone_of(member(locality, "locality"));
    for (const json& endpoint : array_at(locality, "lb_endpoints")) {
      auto address = address_of(member(endpoint, "endpoint"));
      if (address)
        hosts.push_back({std::move(*address), to_health(string_at(endpoint, "health_status")), zone});
    }
  }
  return each_once(std::move(hosts));
}

bool is_envoy_name(std::string_view name) {
  return is_proxy_name(name) && name.front() != '.';
}

}  // namespace poolwarden::gateway

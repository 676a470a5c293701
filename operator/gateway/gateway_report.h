// What the gateway feed tells people: its log and its metrics. Says a thing once, and again when it is
// different.
//
// Owned and used by one thread. The references must outlive it.
#pragma once

#include "gateway/gateway_core.h"
#include "gateway/gateway_metrics.h"
#include "kube/result.h"
#include "pool/plan.h"
#include "telemetry/log.h"

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

struct ReportNames {
  std::string ns;
  std::string pool;
  std::string config_map;
  std::string gateway;  // "HAProxy"
  std::string where;
};

class GatewayReport {
 public:
  GatewayReport(ReportNames names, telemetry::Log& log, GatewayMetrics& metrics)
      : names_(std::move(names)), log_(log), metrics_(metrics) {}

  void tell(const effect::Acknowledged& done);
  void tell(const effect::Settled& settled);
  void tell(const effect::GatewayFound& found);
  void tell(const effect::GatewayFailed& failed);
  void tell(const effect::ListProblems& list);

  // What a person should mend of the gateway, though the list is carried out; nothing: it is mended.
  void complaint(const std::optional<std::string>& problem);
  void list_gone(std::string_view config_map);
  void list_unreadable(std::string_view problem);
  void list_has_several(std::size_t config_maps);
  void list_absent();
  // ConfigMaps of the list that are not there or cannot be read.
  void missing(std::vector<std::string> config_maps);
  // Pods that have fallen: UID -> why.
  void fallen(const std::map<std::string, pool::Withdrawal>& pods);
  // The Lease cannot be written.
  void not_confirmed(std::string_view problem);
  void api_server(const std::optional<kube::Error>& error);
  // Of the watch of pods alone: the list is followed all the same.
  void pods_watch(const std::optional<kube::Error>& error);

 private:
  const ReportNames names_;
  telemetry::Log& log_;
  GatewayMetrics& metrics_;
  std::string last_gateway_problem_;
  std::string last_complaint_;
  std::string last_list_problem_;
  std::string last_api_problem_;
  std::string last_pods_problem_;
  std::size_t last_unplaced_ = 0;
  bool told_absence_ = false;
  std::vector<std::string> told_missing_;
  std::map<std::string, pool::Withdrawal> told_fallen_;
};

}  // namespace poolwarden::gateway

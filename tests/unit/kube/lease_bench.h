// One elector on a bench: sends nothing, reads no clock, and says in a few words what it does.
#pragma once

#include "kube/lease.h"

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace poolwarden::kube {

inline const TimePoint kLeaseStart = TimePoint{} + std::chrono::hours{1};
inline const WallTime kLeaseWall = WallTime{} + std::chrono::days{20'000};

inline LeaseConfig lease_config(std::string identity = "me") {
  LeaseConfig config;
  config.identity = std::move(identity);
  config.ns = "poolwarden-system";
  config.name = "poolwarden";
  return config;
}

inline std::string lease_json(const std::string& holder, const std::string& renew_time, int resource_version,
                              const std::string& uid = "uid-1", int seconds = 15) {
  return nlohmann::json{{"apiVersion", "coordination.k8s.io/v1"},
                        {"kind", "Lease"},
                        {"metadata",
                         {{"name", "poolwarden"},
                          {"namespace", "poolwarden-system"},
                          {"uid", uid},
                          {"resourceVersion", std::to_string(resource_version)}}},
                        {"spec",
                         {{"holderIdentity", holder},
                          {"renewTime", renew_time},
                          {"acquireTime", "2020-01-01T00:00:00.000000Z"},
                          {"leaseDurationSeconds", seconds},
                          {"leaseTransitions", 3}}}}
      .dump();
}

inline Error lease_error(ErrorClass cls, int status, std::string reason = {}) {
  return Error{cls, status, std::move(reason), "it went wrong", std::nullopt};
}

class LeaseBench {
 public:
  explicit LeaseBench(LeaseConfig config = lease_config())
      : elector(std::move(config), [this] { return chance; }) {}

  std::string tick(Duration time = {}) {
    pass(time);
    return note(elector.tick(now, wall));
  }
  std::string answer(const std::string& body) { return note(elector.answer(attempt, body, now, wall)); }
  std::string fail(const Error& error) {
    return note(elector.answer(attempt, tl::unexpected(error), now, wall));
  }
  std::string release() { return note(elector.release(now, wall)); }
  void pass(Duration time) {
    now += time;
    wall += std::chrono::duration_cast<WallTime::duration>(time);
  }

  nlohmann::json sent() const { return nlohmann::json::parse(call->body); }
  // What the API server would answer to the last write, and to a read after it.
  std::string echo() {
    nlohmann::json lease = nlohmann::json::parse(written);
    lease["metadata"].emplace("uid", "uid-1");
    lease["metadata"]["resourceVersion"] = std::to_string(++version);
    return lease.dump();
  }
  bool valid() const { return elector.valid(now); }

  // Brings it to Leading: renewed at kLeaseStart, nothing in flight.
  void lead() {
    tick();
    answer(lease_json("", "", version));
    answer(echo());
  }

  std::string state() const {
    static const char* const kNames[] = {"Observing", "Acquiring", "Leading",
                                         "Releasing", "Released",  "Lost"};
    return kNames[elector.state().index()];
  }

  TimePoint now = kLeaseStart;
  WallTime wall = kLeaseWall;
  double chance = 0;
  int version = 100;
  std::uint64_t attempt = 0;
  std::optional<Call> call;  // the last one
  std::string written;       // the last body
  LeaseElector elector;

 private:
  std::string note(const std::vector<LeaseOutput>& outputs) {
    std::string text = state() + ":";
    for (const LeaseOutput& output : outputs) {
      if (const auto* send = std::get_if<SendLeaseCall>(&output)) {
        attempt = send->attempt;
        call = send->call;
        if (!call->body.empty()) {
          written = call->body;
        }
        const bool drops = !call->body.empty() && sent()["spec"]["holderIdentity"] == "";
        text += call->verb == Verb::kGet      ? " get"
                : call->verb == Verb::kCreate ? " create"
                : drops                       ? " give back"
                                              : " update";
      } else if (std::holds_alternative<BecameLeader>(output)) {
        text += " became leader";
      } else if (std::holds_alternative<LostLeadership>(output)) {
        text += " lost";
      } else {
        text += " released";
      }
    }
    return text;
  }
};

}  // namespace poolwarden::kube

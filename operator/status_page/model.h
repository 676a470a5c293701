// What the status page says, apart from how it looks. Values only.
//
// Texts are as others wrote them, at most shortened: render() makes them harmless. The order is that of the
// page: trouble first. Times are seconds up to the moment of the page, and never negative.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::status_page {

using std::chrono::seconds;

// How a pool does, the best first.
enum class Level : std::uint8_t { kFine, kSettling, kRisk, kTrouble };

struct ProblemPart {
  std::string what;  // "Degraded is True (Overlap)"
  std::string message;
};

struct EndpointPart {
  std::string pod;
  std::string node;   // empty: not known
  std::string state;  // "ready", "draining", ...
  std::string reason;
  std::string message;
  std::optional<seconds> in_state;  // nothing: not known
  std::optional<seconds> age;       // of the pod; nothing: the pod is gone
  bool listed = false;
};

struct DrainPart {
  std::string pool;  // "namespace/name"
  std::string pod;
  std::string reason;
  std::string message;
  std::optional<std::int32_t> in_flight;  // nothing: not known
  std::optional<seconds> so_far;
  std::optional<seconds> left;  // nothing: no limit is known; 0: its time is up
};

struct ConsumerPart {
  std::string pool;
  std::string name;
  std::string kind;
  std::int64_t revision = 0;
  std::int64_t behind = 0;
  bool live = false;
  std::optional<seconds> confirmed;  // how long ago, by its own clock
};

struct PoolPart {
  std::string name;  // "namespace/name"
  Level level = Level::kFine;
  std::int32_t ready = 0;
  std::optional<std::int32_t> wanted;
  std::size_t listed = 0;
  std::int32_t draining = 0;
  std::vector<ProblemPart> problems;
  std::vector<EndpointPart> endpoints;
  std::size_t more_endpoints = 0;
};

enum class Role : std::uint8_t { kAlone, kLeads, kStandby };

struct StatusPage {
  std::string version;
  std::optional<seconds> age;  // of what it is made from; nothing: nothing was seen yet
  Role role = Role::kAlone;
  std::string identity;            // of this replica
  std::string leader;              // kStandby: who leads; empty: nobody is seen to
  std::vector<ProblemPart> blind;  // kinds of objects that this replica does not see as they are
  std::vector<PoolPart> pools;
  std::size_t more_pools = 0;
  std::vector<DrainPart> drains;        // the one that is released the soonest comes first
  std::vector<ConsumerPart> consumers;  // the slowest first, and after them those that are not heard of
  std::size_t more_consumers = 0;
};

}  // namespace poolwarden::status_page

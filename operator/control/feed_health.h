// How the watch of one kind does, and what probes make of that.
//
// That the API server answers is one thing, that a cache follows the cluster another. A server that answers
// each list with an error for an hour has said a lot, and nothing about the objects.
//
// Pure: time is an argument.
#pragma once

#include "kube/time.h"

#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::control {

struct FeedHealth {
  bool synced = false;
  bool out_of_reach = false;    // refused until a person acts: no grant, or no such resource
  kube::TimePoint last_byte{};  // when the API server last said anything to it, be it a refusal
  kube::TimePoint fresh_at{};   // when its cache was last brought up to date
  std::string problem;          // empty while it lists or watches
  bool started = true;          // false: nothing has needed it so far

  // Refused from the start, and never needed.
  bool does_without(bool optional) const { return optional && out_of_reach && !synced; }
};

// Why its cache is not to be relied on. Nothing: it is up to date, or the operator does without it.
std::optional<std::string> not_up_to_date(const FeedHealth& feed, bool optional, kube::TimePoint now);
// Why only a restart helps: it is silent, and should have noticed that itself.
std::optional<std::string> stuck(std::string_view resource, const FeedHealth& feed, kube::TimePoint now);

}  // namespace poolwarden::control

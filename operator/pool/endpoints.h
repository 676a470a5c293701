// The published list: what it should say, whether the ConfigMap says so, and what changes if it does not.
#pragma once

#include "pool/observation.h"

#include <cstdint>
#include <string>

namespace poolwarden::pool {

enum class Publication : std::uint8_t {
  kCurrent,           // the ConfigMap says what it should
  kDue,               // the plan has the write
  kHeld,              // nobody joins it: seen.hold says why
  kNameTaken,         // the ConfigMap of that name is not this pool's
  kAwaitsCollection,  // it is a former namesake's, or is itself being deleted: gone soon
};

struct PublishedList {
  Publication state = Publication::kHeld;
  std::int64_t revision = 0;  // of the list that readers have, or will have once the plan is carried out
  std::int32_t ready = 0;     // how many ready endpoints that list has
  std::int32_t omitted = 0;   // ready endpoints that do not fit into a ConfigMap any more
  std::string holder;         // kNameTaken: whose it is
};

// The revision of a list that readers take; 0 for one that somebody has edited to be none.
std::int64_t sane_revision(std::int64_t revision);

// What a ConfigMap of the pool says, and what in it is not as we write it.
PublishedDocument read_published(const api::InferencePool& pool, const api::ConfigMap& map);

// Fills in plan.publish when the list is due.
PublishedList publish_endpoints(const Observation& seen, Plan& plan);

}  // namespace poolwarden::pool

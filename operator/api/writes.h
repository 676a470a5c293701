// The writes a decision may ask for, as values. pool/ decides them, and publish/ words them for the API
// server. Neither needs to know the other.
#pragma once

#include "api/endpoint_set.h"
#include "api/meta.h"
#include "api/objects.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace poolwarden::api {

// Of one shard of the list: the one that `set` is.
struct ConfigMapWrite {
  bool create = false;           // else change the existing one
  bool shared = false;           // others have put something into it, which has to stay
  std::string resource_version;  // of the ConfigMap that is replaced; empty on create
  std::string pods_version;      // of the pods that the list was made from
  EndpointSet set;
};

struct ServiceWrite {
  bool create = false;         // else change the existing one
  bool headless = false;       // created without an address of its own
  bool adopt = false;          // the existing one has no owner: the pool becomes it
  bool drop_selector = false;  // the EndpointSlices are ours
  bool unmark = false;         // takes kSkipMirrorLabel off
  bool only_count = false;     // nothing differs but how many endpoints are ready: that can wait
  std::string resource_version;
  LabelMap labels;                               // ours, which are laid over those that are there
  LabelMap selector;                             // empty: leave it as it is
  std::vector<std::string> stale_selector_keys;  // keys of the present selector that must go
  std::vector<ServicePort> ports;                // empty: leave them as they are
};

// Of one slice of the pool's Service.
struct EndpointSliceWrite {
  enum class Action : std::uint8_t { kCreate, kReplace, kDelete };
  Action action = Action::kCreate;
  // As it should be, with the version of the one that is replaced. Of one that goes only its identity counts.
  EndpointSlice slice;
};

struct PodLabelWrite {
  std::string name;
  std::string uid;
  std::string resource_version;
  std::optional<std::string> serving;  // nothing: take the label off
  // Others stay as they are; no value: take it off.
  std::map<std::string, std::optional<std::string>, std::less<>> annotations = {};
};

struct BudgetWrite {
  bool create = false;  // else change the existing one
  std::string name;
  std::string resource_version;
  LabelSelector selector;
};

struct ScaleWrite {
  std::int32_t from = 0;
  std::int32_t to = 0;
  // What the pool and its target agree on then: `to`, less what is only there meanwhile.
  std::int32_t agreed = 0;
  std::string target_uid;
  std::string resource_version;  // of the target, as read
};

struct AdoptWrite {
  std::optional<std::int32_t> from;
  std::int32_t to = 0;
  std::string target_uid;
};

}  // namespace poolwarden::api

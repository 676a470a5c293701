// Who owns which field: metadata.managedFields, and the merge of server-side apply that rests on it.
// https://kubernetes.io/docs/reference/using-api/server-side-apply/
#pragma once

#include "api/time.h"
#include "support/apiserver/failure.h"
#include "support/apiserver/registry.h"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace poolwarden::apiserver {

struct Writer {
  std::string manager;
  std::string subresource;
  api::Timestamp now;
};

// After any write but an apply: the writer owns what it changed, others lose it. `before` is null for a
// create.
void track_update(const ResourceInfo& type, const nlohmann::json* before, nlohmann::json& after,
                  const Writer& writer);

// The live object (null: none yet) with the configuration merged in and managedFields brought up to date; 409
// if another manager owns a field that would change and `force` is not set. Bodies in stored form.
Outcome<nlohmann::json> server_side_apply(const ResourceInfo& type, const nlohmann::json* live,
                                          const nlohmann::json& config, const Writer& writer, bool force,
                                          const Subject& subject);

}  // namespace poolwarden::apiserver

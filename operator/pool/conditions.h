// The six conditions of a pool's status: what state it is in, why, and what a person should do about it.
#pragma once

#include "api/time.h"
#include "pool/endpoints.h"
#include "pool/observation.h"

#include <string>
#include <vector>

namespace poolwarden::pool {

// `service_note` is keep_service()'s. A condition whose status has not changed keeps its transition time.
std::vector<api::Condition> conditions(const Observation& seen, const PublishedList& list,
                                       const std::string& service_note, api::Timestamp now);

// What is wrong, and the fix, when the API server drops these fields of status.
std::string outdated_definition(const std::vector<std::string>& dropped_fields);

}  // namespace poolwarden::pool

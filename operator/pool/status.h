// The pool's status, as it should read now.
#pragma once

#include "api/time.h"
#include "pool/endpoints.h"
#include "pool/observation.h"

#include <string>

namespace poolwarden::pool {

// Times are in whole seconds, as the API stores them. What has not changed keeps its time, so that at rest
// the result equals the pool's present status.
api::PoolStatus wanted_status(const Observation& seen, const Plan& plan, const PublishedList& list,
                              const std::string& service_note, api::Timestamp now);

// Whether a status tells of more than counts and figures: then it is written at once, and else with others.
bool is_news(const api::PoolStatus& before, const api::PoolStatus& after);

}  // namespace poolwarden::pool

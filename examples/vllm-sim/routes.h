// The endpoints of the stand-in, put on a Listener: /v1/completions, /v1/chat/completions, /v1/models,
// /health, /ping, /version, /metrics. Writes one access-log line per request, in uvicorn's form.
#pragma once

#include "engine.h"
#include "listener.h"
#include "request.h"

#include <atomic>

namespace vllm_sim {

// Set once, when a graceful shutdown starts: from then on /v1/ requests are refused.
using Draining = std::atomic<bool>;

// All four must outlive the listener's run.
void add_routes(Listener& listener, Engine& engine, const Options& options, const Draining& draining);

}  // namespace vllm_sim

// What routers with a worker API say: which of their answers mean what. Pure; any thread.
//
// The dialects, as the routers themselves answered (vllm-router 0.1.17, sglang-router 0.3.2, smg 1.13.0):
//   vllm-router    GET /workers              {"workers":[{"url":"http://10.0.0.1:8000","load":0,...}]}
//                  POST /add_worker?url=     answers once the worker's health check did, with 200, or with
//                  400
//                                            if it has the worker already
//                  POST /remove_worker?url=  answers 200 at once, also for a worker it does not have
//   sglang-router  GET /workers              {"workers":[{"id":"<UUID>","url":"http://10.0.0.1:8000",...}]}
//                  POST /workers             {"url":...}: 202 and the worker's id, at once; the rest is a job
//                  GET /workers/<UUID>       the worker, or the job that adds it, in "job_status"
//                  DELETE /workers/<UUID>    202 at once; the rest is a job. 404 if it does not have it
//   smg            as sglang-router; a removed worker is listed for five seconds more, as "draining"
//
// Promises: nothing here throws, and nothing grows beyond its input. A list of more than kMaxWorkers or
// kMaxListBytes is an error: read, it takes up to 16 times its bytes, and a sidecar has little memory.
#pragma once

#include "gateway/server_address.h"
#include "kube/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace poolwarden::gateway {

enum class WorkerDialect : std::uint8_t { kVllmRouter, kSglangRouter, kSmg };

std::string_view to_string(WorkerDialect dialect);  // "vllm-router", as the flag has it
std::optional<WorkerDialect> parse_worker_dialect(std::string_view text);

enum class WorkerState : std::uint8_t {
  kServing,   // it is sent requests, or would be if it were healthy
  kDraining,  // it finishes what it has
  kLeaving,   // its removal was asked for, a moment ago
};

struct ObservedWorker {
  std::string id;                        // what its removal names: a UUID, or the URL itself
  std::string url;                       // as the router spells it
  std::optional<ServerAddress> address;  // nothing: not http://, an IP address and a port
  WorkerState state = WorkerState::kServing;

  bool operator==(const ObservedWorker&) const = default;
};

inline constexpr std::size_t kMaxWorkers = 5'000;
inline constexpr std::size_t kMaxListBytes = 4u << 20;

// The answer to GET /workers, in the router's order.
kube::Result<std::vector<ObservedWorker>> parse_workers(WorkerDialect dialect, std::string_view body);

// "http://10.0.0.1:8000", "http://[fd00::1]:8000/"; nothing for anything else.
std::optional<ServerAddress> parse_worker_url(std::string_view url);

// The id in the answer to POST /workers; nothing if there is none that a path can hold.
std::optional<std::string> parse_added_id(std::string_view body);

// A job that adds a worker, from the answer to GET /workers/<UUID>.
struct AdditionJob {
  bool failed = false;
  std::string message;  // why, for a person
};
std::optional<AdditionJob> parse_addition_job(std::string_view body);

}  // namespace poolwarden::gateway

// A coordination.k8s.io/v1 Lease as a value: read from an answer, written for a create or an update.
// https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/lease-v1/
#pragma once

#include "kube/result.h"

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace poolwarden::kube {

// Who holds a lease, as its holder wrote it. Times are kept as the text they are: they come from another
// machine's clock and are compared for being different, never for being earlier.
struct LeaseTerm {
  std::string holder;  // empty: nobody
  std::string acquire_time;
  std::string renew_time;
  std::optional<std::chrono::seconds> duration;  // nothing: missing or not positive
  std::int64_t transitions = 0;
};

struct LeaseRecord {
  std::string uid;
  std::string resource_version;
  LeaseTerm term;
  std::string object;  // the whole of it, so that an update keeps the labels and fields that are not ours
};

// kTerminal if the body is not a Lease that can be reasoned about. It may be no JSON, nested too deep,
// without a resourceVersion, or with a holder that is no text. Numbers out of range read as missing.
Result<LeaseRecord> parse_lease(std::string_view body);

std::string new_lease(const std::string& ns, const std::string& name, const LeaseTerm& term);
// `base` with `term` in it, to be written only over that very resourceVersion and uid.
std::string updated_lease(const LeaseRecord& base, const LeaseTerm& term);

}  // namespace poolwarden::kube

// metav1.MicroTime: RFC 3339 in UTC with six digits of fraction, as leases and events carry it.
#pragma once

#include "kube/time.h"

#include <string>

namespace poolwarden::kube {

std::string to_micro_time(WallTime time);  // "2026-01-02T03:04:05.000006Z"

}  // namespace poolwarden::kube

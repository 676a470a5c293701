set(KUBE_TOOLS_SOURCES
  event_recorder.cpp
  lease.cpp
  lease_record.cpp
  micro_time.cpp
  process_identity.cpp
  rate_limiter.cpp)

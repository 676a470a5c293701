set(KUBE_TOOLS_SOURCES
  event_recorder.cpp
  lease.cpp
  lease_record.cpp
  rate_limiter.cpp)

set(KUBE_TOOLS_SOURCES
  micro_time.cpp
  rate_limiter.cpp)

set(KUBE_ACCESS_SOURCES
  result.cpp
  resource.cpp)

set(KUBE_ACCESS_SOURCES
  client.cpp
  resource.cpp
  result.cpp
  status.cpp)

set(KUBE_CACHE_SOURCES
  backoff.cpp json_sink.cpp reflector.cpp watch_decoder.cpp)

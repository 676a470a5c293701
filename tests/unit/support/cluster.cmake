# The stand-in controllers, scheduler and kubelet.
poolwarden_test(support_cluster_test
  SOURCES
    ${CMAKE_CURRENT_LIST_DIR}/cluster/container_machine_test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/cluster/launch_test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/cluster/pod_machine_test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/cluster/probe_test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/cluster/rollout_test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/cluster/story_test.cpp
    ${CMAKE_CURRENT_LIST_DIR}/cluster/victims_test.cpp
  DEPENDS poolwarden_cluster
  LABELS unit)
target_compile_definitions(support_cluster_test PRIVATE
  POOLWARDEN_DRAIN_GATE="${PROJECT_SOURCE_DIR}/manifests/gate/drain_gate.yaml")

poolwarden_test(kube_tools_test
  SOURCES bounded_queue_test.cpp event_recorder_test.cpp lease_property_test.cpp lease_record_test.cpp
          lease_table_test.cpp lease_test.cpp process_identity_test.cpp rate_limiter_test.cpp work_queue_test.cpp
  DEPENDS poolwarden_kube)

find_program(POOLWARDEN_CLANG NAMES clang++-16 clang++)
add_test(NAME thread_annotations COMMAND ${CMAKE_COMMAND}
  -DCLANG=$<IF:$<BOOL:${POOLWARDEN_CLANG}>,${POOLWARDEN_CLANG},>
  -DINCLUDE=${PROJECT_SOURCE_DIR}/operator
  -DPROBE=${CMAKE_CURRENT_SOURCE_DIR}/thread_annotations_probe.cpp
  -P ${CMAKE_CURRENT_SOURCE_DIR}/thread_annotations_check.cmake)
set_tests_properties(thread_annotations PROPERTIES SKIP_REGULAR_EXPRESSION "SKIPPED:" TIMEOUT 60)

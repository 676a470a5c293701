poolwarden_test(kube_tools_test
  SOURCES bounded_queue_test.cpp lease_property_test.cpp lease_record_test.cpp lease_table_test.cpp lease_test.cpp
          rate_limiter_test.cpp work_queue_test.cpp
  DEPENDS poolwarden_kube)

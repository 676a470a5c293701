# What every target of the project shares: warnings, sanitizers, LTO and ccache, and three helpers
# (poolwarden_library, poolwarden_binary, poolwarden_test) that keep the directories' own lists short.

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

set(POOLWARDEN_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them: address,undefined or thread")
option(POOLWARDEN_COVERAGE "Instrument for gcov" OFF)
option(POOLWARDEN_LTO "Link-time optimisation" OFF)

add_library(poolwarden_flags INTERFACE)
target_compile_options(poolwarden_flags INTERFACE
  -Wall -Wextra -Wpedantic -Werror -Wshadow -Wnon-virtual-dtor -Wconversion -Wsign-conversion -Wold-style-cast)
target_compile_options(poolwarden_flags INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
target_include_directories(poolwarden_flags INTERFACE ${PROJECT_SOURCE_DIR}/operator)
if(POOLWARDEN_SANITIZE)
  target_compile_options(poolwarden_flags INTERFACE
    -fsanitize=${POOLWARDEN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(poolwarden_flags INTERFACE -fsanitize=${POOLWARDEN_SANITIZE})
  # GCC 12 reports false positives of these in instrumented library code.
  target_compile_options(poolwarden_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
if(POOLWARDEN_COVERAGE)
  target_compile_options(poolwarden_flags INTERFACE --coverage)
  target_link_options(poolwarden_flags INTERFACE --coverage)
endif()
if(POOLWARDEN_LTO)
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_path(POOLWARDEN_PROTOZERO protozero/pbf_reader.hpp REQUIRED)  # headers alone, without a package of CMake

# poolwarden_library(NAME SOURCES a.cpp ... DEPENDS lib ...): one static library a folder of the house.
function(poolwarden_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS" ${ARGN})
  add_library(${NAME} STATIC ${ARG_SOURCES})
  target_link_libraries(${NAME} PUBLIC poolwarden_flags nlohmann_json::nlohmann_json fmt::fmt ${ARG_DEPENDS}
    PRIVATE ${ARG_PRIVATE_DEPENDS})
endfunction()

# What `make`, `make bench`, `make fuzz` and `make e2e` build: the programs, the benchmarks, the fuzzers, and what the
# cases on a real Kubernetes run; and no tests.
foreach(group programs benchmarks fuzzers e2e_programs)
  add_custom_target(${group})
endforeach()

# poolwarden_binary(NAME SOURCES ... DEPENDS ... [GROUP programs]): a program in build/bin.
function(poolwarden_binary NAME)
  cmake_parse_arguments(ARG "" "GROUP" "SOURCES;DEPENDS" ${ARGN})
  if(NOT ARG_GROUP)
    set(ARG_GROUP programs)
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE poolwarden_flags ${ARG_DEPENDS})
  add_dependencies(${ARG_GROUP} ${NAME})
endfunction()

# poolwarden_test(NAME SOURCES ... DEPENDS ... [LABELS ...] [TIMEOUT s]): a GoogleTest binary, one CTest test.
function(poolwarden_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPENDS;LABELS" ${ARGN})
  find_package(GTest REQUIRED)
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE poolwarden_flags ${ARG_DEPENDS} GTest::gmock GTest::gtest GTest::gtest_main)
  target_include_directories(${NAME} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  add_test(NAME ${NAME} COMMAND ${NAME})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  if(POOLWARDEN_SANITIZE)
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 5")
  endif()
  set_tests_properties(${NAME} PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}")
endfunction()

# What every target of the project shares: warnings, hardening, sanitizers, LTO and ccache, and three helpers
# (poolwarden_library, poolwarden_binary, poolwarden_test) that keep the directories' own lists short.

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

# g++ knows -fuse-ld=mold from version 12 on. Link-time optimisation is left to the linker that the compiler came with.
find_program(MOLD mold)
if(MOLD AND NOT POOLWARDEN_LTO)
  add_link_options(-fuse-ld=mold)
endif()

set(POOLWARDEN_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them: address,undefined or thread")
option(POOLWARDEN_COVERAGE "Instrument for gcov" OFF)
option(POOLWARDEN_LTO "Link-time optimisation" OFF)

add_library(poolwarden_flags INTERFACE)
target_compile_options(poolwarden_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Wconversion -Wsign-conversion -Wold-style-cast)
target_compile_options(poolwarden_flags INTERFACE $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>)
if(CMAKE_UNITY_BUILD)
  # Of what one file has for itself and another, compiled with it, does not know.
  target_compile_options(poolwarden_flags INTERFACE
    "$<$<CXX_COMPILER_ID:GNU>:-Wno-shadow;-Wshadow=local;-Wno-subobject-linkage>")
endif()
target_include_directories(poolwarden_flags INTERFACE ${PROJECT_SOURCE_DIR}/operator)
# What ships is hardened, and scripts/check_hardening.sh looks at it. _FORTIFY_SOURCE needs an optimiser, and sanitizers
# have checks of their own. https://best.openssf.org/Compiler-Hardening-Guides/
if(NOT POOLWARDEN_SANITIZE)
  # Level 3 knows the sizes of more objects; g++ has it from version 12 on.
  set(fortify 3)
  if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 12)
    set(fortify 2)
  endif()
  set(harden -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=${fortify} -D_GLIBCXX_ASSERTIONS
    -fstack-protector-strong -fstack-clash-protection -fPIE)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|i[3-6]86)$")
    list(APPEND harden -fcf-protection)
  endif()
  target_compile_options(poolwarden_flags INTERFACE "$<$<CONFIG:Release>:${harden}>")
  target_link_options(poolwarden_flags INTERFACE "$<$<CONFIG:Release>:-pie;LINKER:-z,relro,-z,now,-z,noexecstack>")
endif()
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
else()
  # GCC 12 reports false positives of these at -O3: of what a constructor that throws would leave behind.
  target_compile_options(poolwarden_flags INTERFACE
    $<$<AND:$<CONFIG:Release>,$<CXX_COMPILER_ID:GNU>>:-Wno-maybe-uninitialized>)
endif()

find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_path(POOLWARDEN_PROTOZERO protozero/pbf_reader.hpp REQUIRED)  # headers alone, without a package of CMake

# poolwarden_library(NAME SOURCES a.cpp ... DEPENDS lib ... [APART b.cpp ...]): one static library a folder of operator/.
# The sources that are listed after APART, too, are compiled on their own, and not as one with the others.
function(poolwarden_library NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS;PRIVATE_DEPENDS;APART" ${ARGN})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
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

# poolwarden_test(NAME SOURCES ... DEPENDS ... [APART ...] [LABELS ...] [TIMEOUT s] [SHARDS n]): a GoogleTest binary, and one CTest
# test, or n that share its tests. A test with a long time limit is started early, so that none is alone at the end.
function(poolwarden_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT;SHARDS" "SOURCES;DEPENDS;LABELS;APART" ${ARGN})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  find_package(GTest REQUIRED)
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE poolwarden_flags ${ARG_DEPENDS} GTest::gmock GTest::gtest GTest::gtest_main)
  target_include_directories(${NAME} PRIVATE ${PROJECT_SOURCE_DIR}/tests)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  set(cost ${ARG_TIMEOUT})
  if(POOLWARDEN_SANITIZE)
    math(EXPR ARG_TIMEOUT "${ARG_TIMEOUT} * 5")
  endif()
  set(tests ${NAME})
  if(ARG_SHARDS)
    set(tests "")
    foreach(shard RANGE 1 ${ARG_SHARDS})
      list(APPEND tests ${NAME}_${shard})
    endforeach()
  endif()
  set(shard 0)
  foreach(test ${tests})
    add_test(NAME ${test} COMMAND ${NAME})
    set_tests_properties(${test} PROPERTIES TIMEOUT ${ARG_TIMEOUT} COST ${cost} LABELS "${ARG_LABELS}")
    if(ARG_SHARDS)
      set_tests_properties(${test} PROPERTIES
        ENVIRONMENT "GTEST_TOTAL_SHARDS=${ARG_SHARDS};GTEST_SHARD_INDEX=${shard}")
      math(EXPR shard "${shard} + 1")
    endif()
  endforeach()
endfunction()

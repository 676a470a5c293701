// One test a scenario file, named after it.
#include "scenarios/scenario.h"

#include <cctype>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace poolwarden::scenarios {
namespace {

class Scenario : public testing::TestWithParam<std::string> {};

TEST_P(Scenario, Holds) {
  EXPECT_EQ(run_scenario(GetParam()), "");
}

std::string test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = std::filesystem::path(info.param).stem().string();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Files, Scenario, testing::ValuesIn(find_scenarios(POOLWARDEN_SCENARIOS)), test_name);

}  // namespace
}  // namespace poolwarden::scenarios

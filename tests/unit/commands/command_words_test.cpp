#include "commands/command_line.h"

#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

TEST(ProgramName, IsHowAPersonCallsIt) {
  EXPECT_EQ(program_name("/usr/local/bin/kubectl-poolwarden"), "kubectl poolwarden");
  EXPECT_EQ(program_name("kubectl-poolwarden"), "kubectl poolwarden");
  EXPECT_EQ(program_name("build/bin/poolwarden"), "poolwarden");
  EXPECT_EQ(program_name(""), "poolwarden");
  EXPECT_EQ(program_name("kubectl-poolwarden/poolwarden"), "poolwarden");
}

}  // namespace
}  // namespace poolwarden::commands

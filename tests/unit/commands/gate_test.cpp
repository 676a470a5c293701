// What the two halves of the gate come to.
#include "commands/gate.h"

#include <gtest/gtest.h>

namespace poolwarden::commands {
namespace {

using Half = Lookup<api::GatePart>;

Half whole() {
  return {.value = api::GatePart{}, .problem = {}};
}
Half edited(std::string difference) {
  Half out = whole();
  out.value->difference = std::move(difference);
  return out;
}
Half going() {
  Half out = whole();
  out.value->deleting = true;
  return out;
}
Half absent() {
  return {};
}
Half forbidden() {
  return {.value = {}, .problem = "needs verb get"};
}

struct GateRow {
  const char* situation;
  Half policy;
  Half binding;
  const char* comes_to;
};
void PrintTo(const GateRow& row, std::ostream* out) {
  *out << row.situation;
}

std::string told(const Lookup<GateView>& gate) {
  if (!gate.value) return gate.problem;
  if (!gate.value->stands) return "missing";
  return gate.value->difference.empty() ? "stands" : gate.value->difference;
}

class Gates : public testing::TestWithParam<GateRow> {};
TEST_P(Gates, AreToldFromTheirHalves) {
  EXPECT_EQ(told(gate_of(GetParam().policy, GetParam().binding)), GetParam().comes_to);
}
INSTANTIATE_TEST_SUITE_P(
    Halves, Gates,
    testing::Values(GateRow{"both as they should be", whole(), whole(), "stands"},
                    GateRow{"no policy", absent(), whole(), "missing"},
                    GateRow{"no binding", whole(), absent(), "missing"},
                    GateRow{"neither", absent(), absent(), "missing"},
                    GateRow{"a policy on its way out", going(), whole(), "missing"},
                    GateRow{"a binding on its way out", whole(), going(), "missing"},
                    GateRow{"the policy edited", edited("policy"), whole(), "policy"},
                    GateRow{"the binding edited", whole(), edited("binding"), "binding"},
                    GateRow{"both edited", edited("policy"), edited("binding"), "policy"},
                    GateRow{"words a terminal would obey", edited("a\x1b[2J"), whole(), "a\x1b[2J"},
                    GateRow{"a policy that may not be read", forbidden(), whole(), "needs verb get"},
                    GateRow{"a binding that may not be read", whole(), forbidden(), "needs verb get"},
                    GateRow{"no binding is enough to know", forbidden(), absent(), "missing"}));

}  // namespace
}  // namespace poolwarden::commands

#include "api/interner.h"

#include <string>

#include <gtest/gtest.h>

namespace poolwarden::api {
namespace {

std::shared_ptr<const std::string> value(const char* text) {
  return std::make_shared<const std::string>(text);
}

TEST(Interner, EqualValuesShareOneCopy) {
  Interner<std::string> interner;
  const auto first = interner.intern(value("node-1"));
  EXPECT_EQ(interner.intern(value("node-1")), first);
  EXPECT_NE(interner.intern(value("node-2")), first);
  EXPECT_EQ(interner.size(), 2U);
}

TEST(Interner, ForgetsWhatNobodyHolds) {
  Interner<std::string> interner;
  const auto kept = interner.intern(value("kept"));
  interner.intern(value("dropped"));
  interner.sweep();
  EXPECT_EQ(interner.size(), 1U);
  EXPECT_EQ(interner.intern(value("kept")), kept);
}

}  // namespace
}  // namespace poolwarden::api

#include "gateway/haproxy_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::HasSubstr;

TEST(RuntimeAddress, TakesWhatHaproxyCfgTakes) {
  const std::pair<const char*, const char*> rows[] = {
      {"/run/haproxy/admin.sock", "/run/haproxy/admin.sock"},
      {"./admin.sock", "./admin.sock"},
      {"unix@/run/a.sock", "/run/a.sock"},
      {"unix@a.sock", "a.sock"},
      {"127.0.0.1:9999", "127.0.0.1:9999"},
      {"ipv4@127.0.0.1:9999", "127.0.0.1:9999"},
      {"ipv6@[::1]:9999", "[::1]:9999"},
      {"[::1]:9999", "[::1]:9999"},
      {"ipv6@0:0::1:9999", "[::1]:9999"},
  };
  for (const auto& [text, means] : rows) {
    const auto address = parse_runtime_address(text);
    ASSERT_TRUE(address) << text << ": " << address.error();
    EXPECT_EQ(to_string(*address), means);
  }
}

TEST(RuntimeAddress, RefusesTheRestInWords) {
  for (const std::string& text :
       {std::string(), std::string("admin.sock"), std::string("127.0.0.1"), std::string(":9999"),
        std::string("localhost:9999"), std::string("127.0.0.1:0"), std::string("127.0.0.1:65536"),
        std::string("127.0.0.1:99x"), std::string("127.0.0.1:"), std::string("[::1]"),
        std::string("abns@x")}) {
    const auto address = parse_runtime_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_THAT(address.error(), HasSubstr("is neither a socket's path"));
  }
  for (const std::string& text :
       {std::string("unix@"), "/" + std::string(108, 'x'), std::string("/a\0b", 4)}) {
    const auto address = parse_runtime_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_THAT(address.error(), HasSubstr("cannot be a socket's path"));
  }
}

TEST(ServerAddress, HasOneSpelling) {
  EXPECT_EQ(make_address("fd00:0::0:1", 80)->to_string(), "[fd00::1]:80");
  EXPECT_EQ(make_address("FD00::1", 80), make_address("fd00::1", 80));
  EXPECT_EQ(make_address("10.0.0.1", 80)->to_string(), "10.0.0.1:80");
  for (const std::string& ip :
       {std::string("10.0.0"), std::string("010.0.0.1"), std::string("10.0.0.1 "), std::string(""),
        std::string("::g"), std::string("10.0.0.1\0", 9), std::string(1000, '1')}) {
    EXPECT_EQ(make_address(ip, 80), std::nullopt) << ip;
  }
}

}  // namespace
}  // namespace poolwarden::gateway

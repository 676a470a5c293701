#include "base/address.h"

#include <string>

#include <gtest/gtest.h>

namespace poolwarden::base {
namespace {

using namespace std::string_view_literals;

TEST(CanonicalIp, IsOneSpellingOfAnAddress) {
  EXPECT_EQ(canonical_ip("10.0.0.1"), "10.0.0.1");
  EXPECT_EQ(canonical_ip("fd00:0:0::0001"), "fd00::1");
  for (const std::string_view text : {""sv, "localhost"sv, "10.0.0"sv, "10.0.0.256"sv, "[::1]"sv,
                                      "fe80::1%eth0"sv, "10.0.0.1\0x"sv, " 10.0.0.1"sv}) {
    EXPECT_EQ(canonical_ip(text), std::nullopt) << text;
  }
  EXPECT_EQ(canonical_ip(std::string(1000, '1')), std::nullopt);
}

struct KindRow {
  const char* ip;
  std::optional<AddressKind> kind;
};

TEST(KindOf, TellsWhatAnAddressLeadsTo) {
  using enum AddressKind;
  const KindRow rows[] = {
      {"10.0.0.1", kUnicast},
      {"128.0.0.1", kUnicast},
      {"169.253.0.1", kUnicast},
      {"240.0.0.1", kUnicast},
      {"fd00::1", kUnicast},
      {"fec0::1", kUnicast},
      {"::ffff:10.0.0.1", kUnicast},
      {"0.0.0.0", kUnspecified},
      {"0.1.2.3", kUnspecified},
      {"::", kUnspecified},
      {"::ffff:0.0.0.0", kUnspecified},
      {"127.0.0.1", kLoopback},
      {"127.255.255.254", kLoopback},
      {"::1", kLoopback},
      {"::ffff:127.0.0.1", kLoopback},
      {"::ffff:7f00:1", kLoopback},
      {"169.254.169.254", kLinkLocal},
      {"::ffff:169.254.169.254", kLinkLocal},
      {"fe80::1", kLinkLocal},
      {"febf::1", kLinkLocal},
      {"224.0.0.1", kMulticast},
      {"239.255.255.255", kMulticast},
      {"255.255.255.255", kMulticast},
      {"ff02::1", kMulticast},
      {"", std::nullopt},
      {"localhost", std::nullopt},
      {"127.1", std::nullopt},
      {"fe80::1%eth0", std::nullopt},
  };
  for (const KindRow& row : rows) EXPECT_EQ(kind_of(row.ip), row.kind) << row.ip;
}

TEST(ParsePort, TakesDigitsUpTo65535) {
  EXPECT_EQ(parse_port("0"), 0);
  EXPECT_EQ(parse_port("65535"), 65535);
  for (const char* text : {"", "65536", "-1", "+1", " 1", "1 ", "0x10", "99999999999999999999"}) {
    EXPECT_EQ(parse_port(text), std::nullopt) << text;
  }
}

struct SplitRow {
  const char* text;
  const char* host;
  const char* port;
  bool bracketed;
};

TEST(SplitHostPort, TakesTheLastColon) {
  const SplitRow rows[] = {
      {"127.0.0.1:80", "127.0.0.1", "80", false},
      {":80", "", "80", false},
      {"[::1]:80", "::1", "80", true},
      {"::1:80", "::1", "80", false},
      {"[]:80", "[]", "80", false},
      {"host:", "host", "", false},
  };
  for (const SplitRow& row : rows) {
    const auto parts = split_host_port(row.text);
    ASSERT_TRUE(parts) << row.text;
    EXPECT_EQ(parts->host, row.host) << row.text;
    EXPECT_EQ(parts->port, row.port) << row.text;
    EXPECT_EQ(parts->bracketed, row.bracketed) << row.text;
  }
  EXPECT_FALSE(split_host_port("8080"));
}

TEST(DnsName, IsOneInLowerCase) {
  for (const char* name : {"a", "0", "vllm.example", "a-b.c-d", "xn--bcher-kva.example"})
    EXPECT_TRUE(is_dns_name(name)) << name;
  EXPECT_TRUE(is_dns_name(std::string(253, 'a')));
  for (const char* text :
       {"", ".", "-", "a.", ".a", "a-", "-a", "a..b", "a.-b", "a-.b", "A", "a b", "a_b", "a/b"})
    EXPECT_FALSE(is_dns_name(text)) << text;
  EXPECT_FALSE(is_dns_name(std::string(254, 'a')));
}

TEST(JoinHostPort, PutsBracketsAroundColons) {
  EXPECT_EQ(join_host_port("10.0.0.1", 80), "10.0.0.1:80");
  EXPECT_EQ(join_host_port("::1", 80), "[::1]:80");
}

}  // namespace
}  // namespace poolwarden::base

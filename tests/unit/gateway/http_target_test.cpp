// What may stand in a flag that names an HTTP API.
#include "gateway/http_exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

TEST(HttpTarget, Reads) {
  struct Case {
    const char* url;
    const char* host;
    int port;
    const char* prefix;
    const char* again;
  };
  for (const Case& c : {Case{"http://127.0.0.1:9901", "127.0.0.1", 9901, "", "http://127.0.0.1:9901"},
                        Case{"http://127.0.0.1:9901/", "127.0.0.1", 9901, "", "http://127.0.0.1:9901"},
                        Case{"http://router/v1/", "router", 80, "/v1", "http://router:80/v1"},
                        Case{"http://[fd00:0::1]:81", "fd00::1", 81, "", "http://[fd00::1]:81"},
                        Case{"http://[::1]", "::1", 80, "", "http://[::1]:80"},
                        Case{"http://a.b.svc:65535", "a.b.svc", 65535, "", "http://a.b.svc:65535"}}) {
    const auto target = parse_http_target(c.url);
    ASSERT_TRUE(target) << target.error();
    EXPECT_EQ(target->host, c.host);
    EXPECT_EQ(target->port, c.port);
    EXPECT_EQ(target->prefix, c.prefix);
    EXPECT_EQ(target->to_string(), c.again);
  }
}

TEST(HttpTarget, SaysWhatIsWrong) {
  struct Case {
    std::string url;
    const char* why;
  };
  for (const Case& c :
       {Case{"", "does not begin with http://"}, Case{"127.0.0.1:9901", "does not begin with http://"},
        Case{"https://router", "is HTTPS"}, Case{"http://", "names no host"},
        Case{"http://:9901", "names no host"}, Case{"http://user@host", "names no host"},
        Case{"http://a b", "names no host"}, Case{"http://host:", "has no port"},
        Case{"http://host:0", "has no port"}, Case{"http://host:65536", "has no port"},
        Case{"http://::1", "without brackets"}, Case{"http://host/a?b", "has a path"},
        Case{"http://host/a\r\nB: c", "has a path"}, Case{std::string("http://host/\0", 13), "has a path"}}) {
    const auto target = parse_http_target(c.url);
    ASSERT_FALSE(target) << c.url;
    EXPECT_THAT(target.error(), testing::HasSubstr(c.why));
    EXPECT_THAT(target.error(), testing::HasSubstr("http://127.0.0.1:9901"));
  }
}

}  // namespace
}  // namespace poolwarden::gateway

#include "control/uninstall_delay_webhook.h"

#include "support/loopback.h"

#include <poll.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::control {
namespace {

TEST(UninstallDelayWebhook, TakesConnectionsAndSaysNothing) {
  for (const char* where : {"127.0.0.1:0", ":0"}) {
    const auto hold = UninstallDelayWebhook::listen(where);
    ASSERT_TRUE(hold) << hold.error();
    ASSERT_GT(hold->port(), 0);
    const int client = test::connect_to_loopback(static_cast<std::uint16_t>(hold->port()));
    ASSERT_GE(client, 0) << where;
    EXPECT_EQ(::send(client, "hello", 5, MSG_NOSIGNAL), 5);
    pollfd waiting{client, POLLIN, 0};
    EXPECT_EQ(::poll(&waiting, 1, 50), 0) << "neither an answer nor an end";
    ::close(client);
  }
}

TEST(UninstallDelayWebhook, IsRefusedWhenItIsGone) {
  int port = 0;
  {
    const auto hold = UninstallDelayWebhook::listen("127.0.0.1:0");
    ASSERT_TRUE(hold);
    port = hold->port();
  }
  EXPECT_EQ(test::connect_to_loopback(static_cast<std::uint16_t>(port)), -1);
}

TEST(UninstallDelayWebhook, CanBeOff) {
  for (const char* where : {"", "0"}) {
    const auto hold = UninstallDelayWebhook::listen(where);
    ASSERT_TRUE(hold);
    EXPECT_EQ(hold->port(), 0);
  }
}

TEST(UninstallDelayWebhook, SaysWhatIsWrong) {
  const auto nonsense = UninstallDelayWebhook::listen("door");
  ASSERT_FALSE(nonsense);
  EXPECT_THAT(nonsense.error(),
              testing::HasSubstr("--uninstall-hold-bind-address=door: the port is missing"));
  const auto taken = UninstallDelayWebhook::listen("127.0.0.1:0");
  ASSERT_TRUE(taken);
  const auto second = UninstallDelayWebhook::listen("127.0.0.1:" + std::to_string(taken->port()));
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error(), testing::HasSubstr("in use"));
}

}  // namespace
}  // namespace poolwarden::control

// A list in pages, answered by a made-up API server.
#include "commands/list_pages.h"

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::commands {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

// Pages are called by their tokens; "" is the first.
class Server {
 public:
  kube::Result<json> operator()(const kube::Call& call) {
    asked.push_back(call.continue_token);
    limits.push_back(call.limit);
    if (call.continue_token == heavy_page && call.limit > 100) {
      return tl::unexpected(kube::Error{kube::ErrorClass::kTerminal, 0, std::string(kube::kAnswerTooLarge),
                                        "the answer is too long", std::nullopt});
    }
    if (expirations > 0 && !call.continue_token.empty()) {
      --expirations;
      return tl::unexpected(
          kube::Error{kube::ErrorClass::kRelist, 410, "Expired", "the token expired", std::nullopt});
    }
    const int page = call.continue_token.empty() ? 0 : std::stoi(call.continue_token);
    json metadata = json::object();
    if (page + 1 < pages) metadata["continue"] = std::to_string(page + 1);
    return json{{"metadata", std::move(metadata)}, {"items", json(per_page, page)}};
  }

  int pages = 1;
  std::size_t per_page = 1;
  int expirations = 0;
  std::string heavy_page = "none";
  std::vector<std::string> asked;
  std::vector<int> limits;
};

kube::Result<std::vector<json>> list(Server& server) {
  kube::Call scope;
  scope.type = kube::kPods;
  return list_pages(std::move(scope), std::ref(server));
}

TEST(ListPages, SeveralPages_AreOneList) {
  Server server;
  server.pages = 3;
  EXPECT_THAT(list(server).value(), ElementsAre(0, 1, 2));
  EXPECT_THAT(server.asked, ElementsAre("", "1", "2"));
}

TEST(ListPages, ExpiredToken_StartsOverOnce) {
  Server server;
  server.pages = 2;
  server.expirations = 1;
  const auto got = list(server);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(*got, ElementsAre(0, 1));
  EXPECT_THAT(server.asked, ElementsAre("", "1", "", "1"));
}

TEST(ListPages, ExpiredTwice_IsAnError) {
  Server server;
  server.pages = 2;
  server.expirations = 2;
  const auto got = list(server);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().cls, kube::ErrorClass::kRetry);
  EXPECT_THAT(got.error().message, HasSubstr("expired twice"));
  EXPECT_THAT(server.asked, ElementsAre("", "1", "", "1"));
}

TEST(ListPages, PageTooLong_IsAskedForInHalves) {
  Server server;
  server.pages = 5;
  server.heavy_page = "1";
  EXPECT_THAT(list(server).value(), ElementsAre(0, 1, 2, 3, 4));
  EXPECT_THAT(server.asked, ElementsAre("", "1", "1", "1", "1", "2", "3", "4"));
  EXPECT_THAT(server.limits, ElementsAre(500, 500, 250, 125, 62, 124, 248, 496));
}

TEST(ListPages, PageNamesItselfAsTheNext_IsAnError) {
  const auto got = list_pages({}, [](const kube::Call&) -> kube::Result<json> {
    return json{{"metadata", {{"continue", "again"}}}};
  });
  ASSERT_FALSE(got);
  EXPECT_THAT(got.error().message, HasSubstr("does not go on"));
}

TEST(ListPages, TooManyObjects_IsAnErrorAndNoShorterList) {
  Server server;
  server.pages = 1'000'000;
  server.per_page = 500;
  const auto got = list(server);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().cls, kube::ErrorClass::kTerminal);
  EXPECT_THAT(got.error().message, HasSubstr("more than 500000 objects"));
  EXPECT_EQ(server.asked.size(), 1000U);
}

TEST(ListPages, FirstPageRefused_IsThatError) {
  const auto got = list_pages({}, [](const kube::Call&) -> kube::Result<json> {
    return tl::unexpected(kube::Error{kube::ErrorClass::kRelist, 410, "Expired", "refused", std::nullopt});
  });
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().message, "refused");
}

}  // namespace
}  // namespace poolwarden::commands

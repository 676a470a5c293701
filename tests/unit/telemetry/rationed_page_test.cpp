#include "telemetry/rationed_page.h"

#include <gtest/gtest.h>

namespace poolwarden::telemetry {
namespace {

using namespace std::chrono_literals;

constexpr RationedPage::TimePoint kFirstScrape{1000s};

struct CountedPage : RationedPage {
  explicit CountedPage(PageRation ration)
      : RationedPage(ration, [this] { return "page " + std::to_string(++made); }) {}
  int made = 0;
};

TEST(RationedPage, WhoScrapesAsPrometheusDoes_GetsANewPageEachTime) {
  CountedPage page(kMetricsRation);
  for (int i = 1; i <= 100; ++i) EXPECT_EQ(page.at(kFirstScrape + i * 1s), "page " + std::to_string(i));
}

TEST(RationedPage, WhoAsksWithoutAnEnd_GetsTheLastOne) {
  CountedPage page(kMetricsRation);
  for (int i = 0; i < 10'000; ++i) page.at(kFirstScrape + i * 1ms);
  EXPECT_GE(page.made, 40);
  EXPECT_LE(page.made, 51) << "ten at once, and four a second";
  const std::string last = page.at(kFirstScrape + 9'999ms);
  EXPECT_EQ(last, "page " + std::to_string(page.made));
}

TEST(RationedPage, TheStatusPageIsMadeOnceASecond) {
  CountedPage page(kStatusRation);
  for (int i = 0; i < 10'000; ++i) page.at(kFirstScrape + i * 1ms);
  EXPECT_EQ(page.made, 10);
}

TEST(RationedPage, AfterAPause_TheNextPageIsNew) {
  CountedPage page(kMetricsRation);
  for (int i = 0; i < 100; ++i) page.at(kFirstScrape);
  const int made = page.made;
  page.at(kFirstScrape + 1s);
  EXPECT_EQ(page.made, made + 1);
}

}  // namespace
}  // namespace poolwarden::telemetry

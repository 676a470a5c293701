#include "telemetry/metrics_page.h"

#include <gtest/gtest.h>

namespace poolwarden::telemetry {
namespace {

using namespace std::chrono_literals;

constexpr MetricsPage::TimePoint kFirstScrape{1000s};

struct CountedPage : MetricsPage {
  CountedPage() : MetricsPage([this] { return "page " + std::to_string(++made); }) {}
  int made = 0;
};

TEST(MetricsPage, WhoScrapesAsPrometheusDoes_GetsANewPageEachTime) {
  CountedPage page;
  for (int i = 1; i <= 100; ++i) EXPECT_EQ(page.at(kFirstScrape + i * 1s), "page " + std::to_string(i));
}

TEST(MetricsPage, WhoAsksWithoutAnEnd_GetsTheLastOne) {
  CountedPage page;
  for (int i = 0; i < 10'000; ++i) page.at(kFirstScrape + i * 1ms);
  EXPECT_GE(page.made, 40);
  EXPECT_LE(page.made, 51) << "ten at once, and four a second";
  const std::string last = page.at(kFirstScrape + 9'999ms);
  EXPECT_EQ(last, "page " + std::to_string(page.made));
}

TEST(MetricsPage, AfterAPause_TheNextPageIsNew) {
  CountedPage page;
  for (int i = 0; i < 100; ++i) page.at(kFirstScrape);
  const int made = page.made;
  page.at(kFirstScrape + 1s);
  EXPECT_EQ(page.made, made + 1);
}

}  // namespace
}  // namespace poolwarden::telemetry

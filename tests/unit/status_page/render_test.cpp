#include "status_page/render.h"

#include "status_page/style.h"
#include "unit/status_page/example_page.h"

#include <algorithm>
#include <regex>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::status_page {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> tags(const std::string& html) {
  static const std::regex kTag("<[^>]*>");
  return {std::sregex_token_iterator(html.begin(), html.end(), kTag), {}};
}

// Everything that others may have written.
StatusPage with_texts(const std::string& text) {
  StatusPage page = example_page();
  page.role = Role::kStandby;
  page.identity = page.leader = text;
  page.blind = {{text, text}};
  for (PoolPart& pool : page.pools) {
    pool.name = text;
    for (ProblemPart& problem : pool.problems) problem = {text, text};
    for (EndpointPart& one : pool.endpoints) one.pod = one.node = one.reason = one.message = one.state = text;
  }
  for (DrainPart& drain : page.drains) drain.pool = drain.pod = drain.reason = drain.message = text;
  for (ConsumerPart& one : page.consumers) one.pool = one.name = one.kind = text;
  return page;
}

TEST(Render, NoTextOfOthersIsMarkup) {
  const auto plain = tags(render(with_texts("Plain Text")));
  for (const char* hostile : {"<script>alert(1)</script>", "</table></style><b>", "\" onclick=\"x", "' x='",
                              "<!--", "&lt;", "\u202e", "</td>\n<td>", "\xff<", "--><i>", "<![CDATA["}) {
    EXPECT_EQ(tags(render(with_texts(hostile))), plain) << hostile;
  }
}

TEST(Render, OnePoolsNameLeavesAnotherPoolsRowsAsTheyAre) {
  const std::string before = render(example_page());
  StatusPage page = example_page();
  page.pools[0].name = "</table><h1>serving/chat-70b";
  const std::string after = render(page);
  const auto of_chat = [](const std::string& html) {
    return html.substr(html.find("<h3 class=\"m\" id=\"serving/chat-70b\">"), 600);
  };
  EXPECT_EQ(of_chat(after), of_chat(before));
}

TEST(Render, TakesNothingFromElsewhereAndRunsNothing) {
  const std::string html = render(example_page());
  for (const char* part : {"<script", "://", "url(", "@import", " src=", " style=", " onload="})
    EXPECT_THAT(html, Not(HasSubstr(part)));
  EXPECT_THAT(html, HasSubstr("<style>" + std::string(style()) + "</style>"));
}

TEST(Render, TheAnswerComesFirst_AndTroubleIsSaidInWords) {
  const std::string html = render(example_page());
  EXPECT_THAT(html, HasSubstr("<strong>✖ In trouble: 1 of 3 pools.</strong>"));
  EXPECT_THAT(html, HasSubstr("4 of 6 wanted replicas ready, 1 draining."));
  EXPECT_THAT(html, HasSubstr("<span class=\"bad\">✖ trouble</span>"));
  EXPECT_THAT(html, HasSubstr("<bdi>No pod is ready: 1 NodeNotReady, 1 NotReady</bdi>"));
  const std::vector<std::size_t> order = {html.find("In trouble:"),   html.find("<h2>Pools"),
                                          html.find("<h2>Endpoints"), html.find("<h2>Drains"),
                                          html.find("<h2>Gateways"),  html.find("<h2>Who leads")};
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

TEST(Render, Drains) {
  StatusPage page = example_page();
  EXPECT_THAT(render(page),
              HasSubstr("<td class=\"n\">3</td><td class=\"n\">12s</td><td class=\"n\">288s more</td>"));
  page.drains[0].left = 0s;
  page.drains[0].in_flight.reset();
  EXPECT_THAT(render(page), AllOf(HasSubstr("<td class=\"n\">?</td>"), HasSubstr("time is up")));
  page.drains.clear();
  EXPECT_THAT(render(page), HasSubstr("none draining"));
}

TEST(Render, WhoIsStillOnTheListThoughHeIsNotReady) {
  StatusPage page = example_page();
  EXPECT_THAT(render(page), Not(HasSubstr("still on the list")));
  page.pools[2].endpoints[0].listed = true;
  EXPECT_THAT(render(page), HasSubstr("still on the list"));
}

TEST(Render, Consumers) {
  StatusPage page = example_page();
  EXPECT_THAT(render(page),
              AllOf(HasSubstr("▲ behind"), HasSubstr("● up to date"), Not(HasSubstr("✖ silent"))));
  page.consumers[0].live = false;
  page.more_consumers = 7;
  EXPECT_THAT(render(page), AllOf(HasSubstr("✖ silent"), HasSubstr("and 7 gateways more")));
}

TEST(Render, WhatIsLeftOutIsCounted) {
  StatusPage page = example_page();
  page.more_pools = 12;
  page.pools[0].more_endpoints = 345;
  EXPECT_THAT(render(page), AllOf(HasSubstr("and 12 pools more"), HasSubstr("and 345 pods more"),
                                  HasSubstr("1 of the 3 pools shown")));
}

TEST(Render, Roles) {
  StatusPage page = example_page();
  EXPECT_THAT(render(page), HasSubstr("This replica leads: <bdi>poolwarden-6c9f7d5b8-x2mlq</bdi>"));
  page.role = Role::kStandby;
  EXPECT_THAT(render(page), AllOf(HasSubstr("No replica is seen to lead."), HasSubstr("may be old")));
  page.leader = "poolwarden-b";
  EXPECT_THAT(render(page),
              AllOf(HasSubstr("This replica is a standby."), HasSubstr("<bdi>poolwarden-b</bdi> leads.")));
  page.role = Role::kAlone;
  EXPECT_THAT(render(page), AllOf(HasSubstr("Leader election is off"), Not(HasSubstr("standby"))));
}

TEST(Render, WhatMakesItLessThanTrueComesBeforeTheAnswer) {
  StatusPage page = example_page();
  page.age = 20s;
  page.blind = {{"pods", "nothing was read for 200 s"}};
  const std::string html = render(page);
  EXPECT_LT(html.find("What follows is 20 s old."), html.find("In trouble"));
  EXPECT_LT(html.find("This replica does not see pods as they are."), html.find("In trouble"));
}

TEST(Render, NothingYet) {
  StatusPage page;
  EXPECT_THAT(render(page), AllOf(HasSubstr("has just started"), Not(HasSubstr("<h2>Pools"))));
  page.age = 0s;
  EXPECT_THAT(render(page), AllOf(HasSubstr("There is no InferencePool."), Not(HasSubstr("<h2>Pools"))));
}

TEST(Render, AllIsWell) {
  StatusPage page = example_page();
  page.pools = {page.pools[2]};
  EXPECT_THAT(render(page), HasSubstr("Requests are safe in 1 pool."));
  page.pools[0].level = Level::kSettling;
  EXPECT_THAT(render(page), HasSubstr("Settling: 1 of 1 pool."));
  page.pools[0].level = Level::kRisk;
  EXPECT_THAT(render(page), HasSubstr("At risk: 1 of 1 pool."));
}

}  // namespace
}  // namespace poolwarden::status_page

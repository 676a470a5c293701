// What a template makes of a list, and which templates are refused.
#include "gateway/list_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

using testing::HasSubstr;

const ListNames kListNames{"vllm", "default"};
const std::vector<ListedServer> kListed{{{"10.0.0.1", 8000}, "a", "z1", true},
                                        {{"10.0.0.2", 8000}, "b", "", false},
                                        {{"fd00::3", 8000}, "c", "z2", true}};

std::string rendered(const std::string& text, const std::vector<ListedServer>& servers = kListed) {
  const auto parsed = ListTemplate::parse(text);
  if (!parsed) return "refused: " + parsed.error();
  return parsed->render(kListNames, servers).value_or("too much");
}
std::string refusal(const std::string& text) {
  const auto parsed = ListTemplate::parse(text);
  return parsed ? "none" : parsed.error();
}

TEST(ListTemplate, TellsOfReadyDrainingAndAll) {
  EXPECT_EQ(rendered("upstream {{pool}} {\n{{#ready}}\n  server {{address}};\n{{/ready}}\n}\n"),
            "upstream vllm {\n  server 10.0.0.1:8000;\n  server [fd00::3]:8000;\n}\n");
  EXPECT_EQ(rendered("{{#draining}}{{name}} {{/draining}}"), "b ");
  EXPECT_EQ(rendered("{{#endpoints}}{{name}}={{state}}{{#is_draining}}!{{/is_draining}} {{/endpoints}}"),
            "a=ready b=draining! c=ready ");
  EXPECT_EQ(rendered("{{namespace}}/{{{pool}}}/{{&pool}}{{! no more }}"), "default/vllm/vllm");
  EXPECT_EQ(rendered("{{#ready}}{{ip}} {{host}} {{port}};{{/ready}}"),
            "10.0.0.1 10.0.0.1 8000;fd00::3 [fd00::3] 8000;");
}

TEST(ListTemplate, WritesJsonWithCommasInPlace) {
  EXPECT_EQ(rendered(R"([{{#endpoints}}{"a":"{{address}}"}{{^last}},{{/last}}{{/endpoints}}])"),
            R"([{"a":"10.0.0.1:8000"},{"a":"10.0.0.2:8000"},{"a":"[fd00::3]:8000"}])");
  EXPECT_EQ(rendered("{{#ready}}{{^first}},{{/first}}{{name}}{{/ready}}"), "a,c");
}

TEST(ListTemplate, SaysWhenThereIsNone) {
  const std::string none =
      "{{^ready}}none{{/ready}}{{#has_ready}}some{{/has_ready}}{{^has_endpoints}}, empty{{/has_endpoints}}";
  EXPECT_EQ(rendered(none, {}), "none, empty");
  EXPECT_EQ(rendered(none), "some");
  EXPECT_EQ(rendered("{{#endpoints}}{{name}}{{#zone}}@{{zone}}{{/zone}} {{/endpoints}}"), "a@z1 b c@z2 ");
  EXPECT_EQ(rendered("plain text"), "plain text");
}

TEST(ListTemplate, AListWithinAListHasItsOwnEndpoints) {
  EXPECT_EQ(rendered("{{#ready}}{{name}}:{{#endpoints}}{{name}}{{/endpoints}}{{^last}} {{/last}}{{/ready}}"),
            "a:abc c:abc");
}

TEST(ListTemplate, WhatNoNameHasCannotBecomeConfiguration) {
  const std::vector<ListedServer> hostile{
      {{"10.0.0.1", 8000}, "a;\n} server { listen 1", "\"'<&>{{pool}}\x1b", true}};
  EXPECT_EQ(rendered("{{#ready}}{{name}} {{zone}}{{/ready}}", hostile),
            "a____server___listen_1 _____"
            "__pool___");
  const std::vector<ListedServer> lengthy{{{"10.0.0.1", 8000}, std::string(10'000, 'x'), "", true}};
  EXPECT_EQ(rendered("{{#ready}}{{name}}{{/ready}}", lengthy), std::string(253, 'x'));
}

TEST(ListTemplate, RefusesWithTheLineAndTheFix) {
  const std::pair<const char*, const char*> rows[] = {
      {"a\n{{#ready}}\n{{adress}}\n{{/ready}}", "line 3: 'adress' is not known; a template knows pool, "},
      {"\n{{address}}", "line 2: address is an endpoint's: it belongs between {{#ready}} and {{/ready}}"},
      {"{{^ready}}{{name}}{{/ready}}", "line 1: name is an endpoint's"},
      {"{{#ready}}\n", "line 1: {{#ready}} is not closed"},
      {"{{#ready}}\n{{/draining}}", "line 2: {{/draining}} where {{/ready}} is expected, for line 1"},
      {"x\n{{/ready}}", "line 2: {{/ready}} closes nothing"},
      {"{{pool", "line 1: this tag has no end: }} is missing"},
      {"{{{pool}}", "line 1: this tag has no end"},
      {"{{", "line 1: this tag has no end"},
      {"{{}}", "line 1: '' is not known"},
      {"{{.}}", "line 1: '.' is not known"},
      {"{{> other}}", "line 1: partials ({{> other}}) are not supported"},
      {"{{=<% %>=}}", "line 1: other delimiters than {{ and }} are not supported"},
      {"{{{=<% %>=}}}", "line 1: other delimiters than {{ and }} are not supported"},
      {"{{ready}}", "line 1: ready is a list, not a text: use {{#ready}} ... {{/ready}}"},
      {"{{has_ready}}", "line 1: has_ready is yes or no, not a text"},
      {"[{{{#ready}}}]", "line 1: '#ready' is not known"},
      {"{{\x1b[31m}}", "line 1: '\\x1b[31m' is not known"},
  };
  for (const auto& [text, says] : rows) EXPECT_THAT(refusal(text), HasSubstr(says)) << text;
}

TEST(ListTemplate, IsNeitherTooLongNorTooDeep) {
  EXPECT_EQ(refusal(std::string(ListTemplate::kMaxBytes, ' ')), "none");
  EXPECT_THAT(refusal(std::string(ListTemplate::kMaxBytes + 1, ' ')), HasSubstr("it is longer than 128 KiB"));
  const auto nested = [](std::size_t depth) {
    std::string text;
    for (std::size_t i = 0; i < depth; ++i) text += "{{#has_ready}}";
    for (std::size_t i = 0; i < depth; ++i) text += "{{/has_ready}}";
    return text;
  };
  EXPECT_EQ(refusal(nested(ListTemplate::kMaxDepth)), "none");
  EXPECT_EQ(refusal(nested(ListTemplate::kMaxDepth + 1)), "line 1: more than 16 sections within each other");
  EXPECT_THAT(refusal(nested(4'000)), HasSubstr("more than 16 sections"));
}

std::vector<ListedServer> many_servers(std::size_t count) {
  std::vector<ListedServer> out;
  for (std::size_t i = 0; i < count; ++i)
    out.push_back({{"10.0.0.1", static_cast<std::uint16_t>(i + 1)}, "a", "", true});
  return out;
}

TEST(ListTemplate, ItsTextAndItsWorkAreBounded) {
  const auto problem = [](const std::string& text, std::size_t servers) {
    const auto out = ListTemplate::parse(text)->render(kListNames, many_servers(servers));
    return out ? "none" : out.error();
  };
  const std::string line = std::string(100'000, 'x');
  EXPECT_EQ(problem("{{#ready}}" + line + "\n{{/ready}}", 150), "none");
  EXPECT_EQ(problem("{{#ready}}" + line + "\n{{/ready}}", 200), "its text is longer than 16 MiB");
  EXPECT_EQ(problem("{{#ready}}" + line + "{{/ready}}", 200), "its text is longer than 16 MiB");
  EXPECT_EQ(problem("{{#ready}}" + line + "{{/ready}}", 60'000), "its text is longer than 16 MiB");
  EXPECT_EQ(problem("{{#ready}}{{#ready}}{{#ready}}{{/ready}}{{/ready}}{{/ready}}", 5'000),
            "its sections within sections repeat too often");
  EXPECT_EQ(problem("{{#ready}}{{#ready}}{{#ready}}{{name}}{{/ready}}{{/ready}}{{/ready}}", 5'000),
            "its sections within sections repeat too often");
  EXPECT_EQ(problem("{{#ready}}\n  server {{address}};\n{{/ready}}", 60'000), "none");
}

}  // namespace
}  // namespace poolwarden::gateway

#include "api/meta.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::api {
namespace {

using nlohmann::json;

SelectorRequirement need(std::string key, std::string op, std::vector<std::string> values = {}) {
  return {.key = std::move(key), .op = std::move(op), .values = std::move(values)};
}

struct MatchRow {
  const char* situation;
  LabelSelector selector;
  LabelMap labels;
  bool wanted;
};

TEST(LabelSelector, Matches) {
  const LabelMap vllm{{"app", "vllm"}, {"tier", "gpu"}};
  const MatchRow rows[] = {
      {"an empty selector matches everything", {}, vllm, true},
      {"one that is absent matches nothing", {{}, {}, true}, vllm, false},
      {"one label", {{{"app", "vllm"}}, {}}, vllm, true},
      {"another value", {{{"app", "other"}}, {}}, vllm, false},
      {"a key that is not there", {{{"zone", "a"}}, {}}, vllm, false},
      {"two labels, one differs", {{{"app", "vllm"}, {"tier", "cpu"}}, {}}, vllm, false},
      {"In, listed", {{}, {need("tier", "In", {"cpu", "gpu"})}}, vllm, true},
      {"In, not listed", {{}, {need("tier", "In", {"cpu"})}}, vllm, false},
      {"In, key absent", {{}, {need("zone", "In", {"a"})}}, vllm, false},
      {"NotIn, listed", {{}, {need("tier", "NotIn", {"gpu"})}}, vllm, false},
      {"NotIn, not listed", {{}, {need("tier", "NotIn", {"cpu"})}}, vllm, true},
      {"NotIn, key absent", {{}, {need("zone", "NotIn", {"a"})}}, vllm, true},
      {"Exists", {{}, {need("app", "Exists")}}, vllm, true},
      {"Exists, absent", {{}, {need("zone", "Exists")}}, vllm, false},
      {"DoesNotExist", {{}, {need("zone", "DoesNotExist")}}, vllm, true},
      {"DoesNotExist, present", {{}, {need("app", "DoesNotExist")}}, vllm, false},
      {"labels and expressions, all met", {{{"app", "vllm"}}, {need("tier", "Exists")}}, vllm, true},
      {"labels met, an expression not", {{{"app", "vllm"}}, {need("zone", "Exists")}}, vllm, false},
      {"an operator nobody knows", {{}, {need("app", "Gt", {"1"})}}, vllm, false},
      {"a pod without labels", {{{"app", "vllm"}}, {}}, {}, false},
  };
  for (const MatchRow& row : rows) EXPECT_EQ(row.selector.matches(row.labels), row.wanted) << row.situation;
}

TEST(LabelSelector, ReadsAsKubectlParsesIt) {
  const LabelSelector selector{{{"tier", "gpu"}, {"app", "vllm"}},
                               {need("env", "In", {"prod", "canary"}), need("x/y", "NotIn", {"a"}),
                                need("k", "Exists"), need("n", "DoesNotExist")}};
  EXPECT_EQ(selector.to_string(), "app=vllm,tier=gpu,env in (canary,prod),x/y notin (a),k,!n");
  EXPECT_EQ(LabelSelector{}.to_string(), "");
}

TEST(LabelSelector, EmptyOrAbsent_AreToldApart) {
  EXPECT_TRUE(read_selector(json::object()).empty());
  for (const json& none : {json(nullptr), json("app"), json::array()}) {
    EXPECT_TRUE(read_selector(none).absent) << none;
    EXPECT_FALSE(read_selector(none).empty()) << none;
  }
}

TEST(LabelSelector, BeyondItsBounds_MatchesNothingAndSaysSo) {
  LabelSelector many{{}, std::vector(64, need("app", "Exists"))};
  LabelSelector one{{}, {need("app", "NotIn", {std::string(4'080, 'x')})}};
  for (LabelSelector* selector : {&many, &one}) {
    selector->bound();
    EXPECT_FALSE(selector->too_large);
    EXPECT_TRUE(selector->matches(LabelMap{{"app", "vllm"}}));
  }
  many.match_labels = {{"app", "vllm"}};
  one.match_expressions[0].values.emplace_back(10, 'y');
  for (LabelSelector* selector : {&many, &one}) {
    selector->bound();
    EXPECT_TRUE(selector->too_large);
    EXPECT_FALSE(selector->matches(LabelMap{{"app", "vllm"}}));
    EXPECT_FALSE(selector->empty());
    EXPECT_EQ(selector->problem(),
              "more than 64 requirements or 4096 bytes: give the pods one label that only they have");
    EXPECT_TRUE(selector->match_labels.empty() && selector->match_expressions.empty()) << "nothing is kept";
  }
}

TEST(LabelSelector, LabelsAreUnknown_NothingMatches) {
  for (const LabelSelector& selector :
       {LabelSelector{}, LabelSelector{{}, {need("zone", "DoesNotExist")}}, LabelSelector{{{"", ""}}, {}}})
    EXPECT_FALSE(selector.matches(Labels::unknown()));
  EXPECT_FALSE(may_select("!zone", Labels::unknown()));
}

struct SelectorProblemRow {
  const char* situation;
  LabelSelector selector;
  const char* wanted;  // a part of the message; null: none
};

TEST(LabelSelector, SaysWhatIsWrong) {
  const std::string long_name(64, 'a');
  const SelectorProblemRow rows[] = {
      {"plain", {{{"app", "vllm"}}, {}}, nullptr},
      {"prefixed key", {{{"example.com/app", "vllm"}}, {}}, nullptr},
      {"empty value", {{{"app", ""}}, {}}, nullptr},
      {"all operators",
       {{}, {need("a", "In", {"x"}), need("b", "NotIn", {"x"}), need("c", "Exists")}},
       nullptr},
      {"empty", {}, nullptr},
      {"key with a space", {{{"a b", "x"}}, {}}, "\"a b\" is not a label key"},
      {"key with a bad prefix", {{{"UPPER/app", "x"}}, {}}, "not a label key"},
      {"key with an empty prefix", {{{"/app", "x"}}, {}}, "not a label key"},
      {"key with two slashes", {{{"a/b/c", "x"}}, {}}, "not a label key"},
      {"prefix with empty part", {{{"a..b/c", "x"}}, {}}, "not a label key"},
      {"key of 64 characters", {{{long_name, "x"}}, {}}, "not a label key"},
      {"value of 64 characters", {{{"app", long_name}}, {}}, "not a label value"},
      {"value that ends in a dash", {{{"app", "x-"}}, {}}, "not a label value"},
      {"unknown operator", {{}, {need("a", "Gt", {"1"})}}, "matchExpressions[0]: operator \"Gt\""},
      {"In without values",
       {{}, {need("ok", "Exists"), need("a", "In")}},
       "matchExpressions[1]: operator In takes one"},
      {"Exists with values", {{}, {need("a", "Exists", {"x"})}}, "Exists takes no values"},
      {"a bad value among them", {{}, {need("a", "In", {"x", "y z"})}}, "\"y z\" is not a label value"},
  };
  for (const SelectorProblemRow& row : rows) {
    const auto problem = row.selector.problem();
    if (row.wanted == nullptr) {
      EXPECT_EQ(problem, std::nullopt) << row.situation;
    } else {
      ASSERT_TRUE(problem) << row.situation;
      EXPECT_NE(problem->find(row.wanted), std::string::npos) << row.situation << ": " << *problem;
    }
  }
}

TEST(MaySelect, LooksAtAllButOurOwnLabel) {
  const LabelMap labels{{"app", "vllm"}, {"tier", "a"}, {"poolwarden.io/serving", "draining"}};
  for (const char* text :
       {"app=vllm", "app=vllm,tier=a", "app=vllm,poolwarden.io/serving notin (drained,draining)",
        "tier in (b,a),app", "tier notin (b,c),!web", "app in (vllm)", "", ",,", "app is vllm",
        "tier in (b,c", "app in", "app notin ("}) {
    EXPECT_TRUE(may_select(text, labels)) << text;
  }
  for (const char* text :
       {"app=web", "app=vllm,tier=b", "x=y,app=vllm", "tier in (a,b),app=", "=", "app=vllm,=vllm",
        "tier in (b,c)", "tier notin (a,b),app=vllm", "web", "!app",
        "tier in (b,c),poolwarden.io/serving in (true)", "app in ()", "tier in (),app=vllm"}) {
    EXPECT_FALSE(may_select(text, labels)) << text;
  }
}

}  // namespace
}  // namespace poolwarden::api

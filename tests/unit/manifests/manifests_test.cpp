// What users install says the same everywhere: manifests, chart, docs. (That it works, and that kustomize and
// Helm render the same, is shown on a real Kubernetes: tests/e2e.)
#include "api/codecs.h"
#include "api/names.h"

#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <yaml-cpp/yaml.h>

namespace poolwarden {
namespace {

const std::string kRoot = std::string{POOLWARDEN_SOURCE_DIR} + "/";

std::string read(const std::string& path) {
  std::ifstream file(kRoot + path);
  EXPECT_TRUE(file.is_open()) << path;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// "apps deployments/scale patch", with the name where a rule is for one name only.
using Grants = std::set<std::string>;

void add_grants(const std::string& group, const std::string& resource, const std::vector<std::string>& verbs,
                Grants& out) {
  for (const std::string& verb : verbs)
    out.insert((group.empty() ? "core" : group) + " " + resource + " " + verb);
}

Grants granted_by(const std::string& path) {
  Grants out;
  for (const YAML::Node& document : YAML::LoadAll(read(path))) {
    for (const auto& rule : document["rules"]) {
      const auto resource = rule["resources"].as<std::vector<std::string>>();
      const auto group = rule["apiGroups"].as<std::vector<std::string>>();
      EXPECT_EQ(resource.size(), 1U) << "one resource a rule, so that each has a row in the docs";
      EXPECT_EQ(group.size(), 1U);
      std::string name;
      if (rule["resourceNames"]) name = "(" + rule["resourceNames"][0].as<std::string>() + ")";
      add_grants(group.at(0), resource.at(0) + name, rule["verbs"].as<std::vector<std::string>>(), out);
    }
  }
  return out;
}

// All that the operator may be given for pools of all namespaces. Targets of other kinds have overlays.
Grants granted_to_operator() {
  Grants out = granted_by("manifests/cluster/rbac.yaml");
  out.merge(granted_by("manifests/overlays/leaderworkerset/rbac.yaml"));
  out.merge(granted_by("manifests/overlays/rollouts/rbac.yaml"));
  return out;
}

std::vector<std::string> split(const std::string& text, const std::string& separator) {
  std::vector<std::string> out;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find(separator, begin)) != std::string::npos;
       begin = end + separator.size()) {
    out.push_back(text.substr(begin, end - begin));
  }
  out.push_back(text.substr(begin));
  return out;
}

// Rows of the tables under the heading "What it needs from RBAC".
Grants documented() {
  const std::string page = read("docs/operations.md");
  const std::size_t begin = page.find("## What it needs from RBAC");
  const std::string section = page.substr(begin, page.find("\n## ", begin + 1) - begin);
  static const std::regex row(
      R"(\n\| (?:`([a-z0-9.-]+)` )?\| `([a-z/]+)`(?: \(`([a-z]+)` only\))? \| ([a-z, ]+) \|)");
  Grants out;
  for (std::sregex_iterator it(section.begin(), section.end(), row), end; it != end; ++it) {
    const std::string name = (*it)[3].matched ? "(" + (*it)[3].str() + ")" : "";
    add_grants((*it)[1], (*it)[2].str() + name, split((*it)[4], ", "), out);
  }
  return out;
}

TEST(Rbac, EveryRuleIsDocumented) {
  Grants granted = granted_to_operator();
  granted.merge(granted_by("manifests/base/leader_election.yaml"));
  EXPECT_GT(granted.size(), 20U);
  EXPECT_EQ(granted, documented());
}

TEST(Rbac, OneNamespaceNeedsTheSameButWhatIsNoNamespaces) {
  Grants expected = granted_by("manifests/cluster/rbac.yaml");
  for (const std::string what : {"core nodes", "admissionregistration.k8s.io validatingadmissionpolicies",
                                 "admissionregistration.k8s.io validatingadmissionpolicybindings"}) {
    EXPECT_EQ(expected.erase(what + " list") + expected.erase(what + " watch"), 2U) << what;
  }
  EXPECT_EQ(granted_by("manifests/overlays/single-namespace/rbac.yaml"), expected);
}

TEST(Rbac, OverlaysOfTargets_BindTheOperatorsAccount) {
  const auto base = YAML::LoadAll(read("manifests/cluster/rbac.yaml")).at(1)["subjects"][0];
  for (const std::string overlay : {"leaderworkerset", "rollouts"}) {
    const auto documents = YAML::LoadAll(read("manifests/overlays/" + overlay + "/rbac.yaml"));
    ASSERT_EQ(documents.size(), 2U) << overlay;
    EXPECT_EQ(documents[1]["roleRef"]["name"].as<std::string>(),
              documents[0]["metadata"]["name"].as<std::string>());
    ASSERT_EQ(documents[1]["subjects"].size(), 1U);
    for (const std::string field : {"kind", "name", "namespace"}) {
      EXPECT_EQ(documents[1]["subjects"][0][field].as<std::string>(), base[field].as<std::string>())
          << overlay << " " << field;
    }
  }
}

TEST(Rbac, ReadsNoSecretsAndDeletesOnlySlices) {
  for (const std::string& grant : granted_to_operator()) {
    const bool of_slices = grant == "discovery.k8s.io endpointslices delete";
    EXPECT_TRUE(of_slices || grant.find(" delete") == std::string::npos) << grant;
    EXPECT_EQ(grant.find("secrets"), std::string::npos) << grant;
    EXPECT_EQ(grant.find('*'), std::string::npos) << grant;
  }
}

// As the API server would answer, but for numbers and flags, which are text here.
nlohmann::json as_json(const YAML::Node& node) {
  if (node.IsMap()) {
    nlohmann::json out = nlohmann::json::object();
    for (const auto& member : node) out[member.first.as<std::string>()] = as_json(member.second);
    return out;
  }
  if (node.IsSequence()) {
    nlohmann::json out = nlohmann::json::array();
    for (const YAML::Node& element : node) out.push_back(as_json(element));
    return out;
  }
  return node.as<std::string>();
}

std::set<std::string> problems_of(const char* engine) {
  const auto pool = api::PoolCodec::from_json({{"spec", {{"engine", nlohmann::json::parse(engine)}}}});
  const auto problems = api::problems(pool);
  return {problems.begin(), problems.end()};
}

// Of the definition's rules about the engine, in the words of the operator, which stands in for an older one.
TEST(Definition, OperatorSaysOfAnEngineWhatTheRulesSay) {
  const YAML::Node definition = YAML::Load(read("crds/poolwarden.io_inferencepools.yaml"));
  const YAML::Node engine = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
                                      ["spec"]["properties"]["engine"];
  std::set<std::string> rules;
  for (const auto& rule : engine["x-kubernetes-validations"])
    rules.insert("spec.engine." + rule["message"].as<std::string>());
  std::set<std::string> said;
  for (const char* wrong : {R"({"type":"custom"})", R"({"type":"sglang","serverLoad":true})",
                            R"({"tls":{"caBundle":"QQ=="}})", R"({"scheme":"https"})"}) {
    for (const std::string& problem : problems_of(wrong)) {
      if (rules.contains(problem)) said.insert(problem);
    }
  }
  EXPECT_EQ(said, rules);
  EXPECT_EQ(rules.size(), 4U);
}

TEST(Gate, IsNotWhatTheOperatorTakesForEdited) {
  const std::vector<YAML::Node> gate = YAML::LoadAll(read("manifests/gate/drain_gate.yaml"));
  ASSERT_EQ(gate.size(), 2U);
  EXPECT_EQ(api::GatePolicyCodec::from_json(as_json(gate[0])).difference, "");
  EXPECT_EQ(api::GateBindingCodec::from_json(as_json(gate[1])).difference, "");
}

TEST(Gate, OfASharedUserIsNotWhatTheOperatorTakesForEdited) {
  YAML::Node policy = YAML::LoadAll(read("manifests/gate/drain_gate.yaml")).at(0);
  const YAML::Node overlay = YAML::Load(read("manifests/overlays/shared-controller-user/kustomization.yaml"));
  const YAML::Node patch = YAML::Load(overlay["patches"][0]["patch"].as<std::string>());
  ASSERT_EQ(patch[0]["path"].as<std::string>(), "/spec/matchConditions/0/expression");
  policy["spec"]["matchConditions"][0]["expression"] = patch[0]["value"].as<std::string>();
  EXPECT_EQ(api::GatePolicyCodec::from_json(as_json(policy)).difference, "");
}

TEST(Gate, HasTheNamesThatTheOperatorKnows) {
  const std::vector<YAML::Node> gate = YAML::LoadAll(read("manifests/gate/drain_gate.yaml"));
  ASSERT_EQ(gate.size(), 2U);
  EXPECT_EQ(gate[0]["kind"].as<std::string>(), "ValidatingAdmissionPolicy");
  EXPECT_EQ(gate[1]["kind"].as<std::string>(), "ValidatingAdmissionPolicyBinding");
  EXPECT_EQ(gate[0]["metadata"]["name"].as<std::string>(), api::kGateName);
  EXPECT_EQ(gate[1]["metadata"]["name"].as<std::string>(), api::kGateName);
  EXPECT_EQ(gate[1]["spec"]["policyName"].as<std::string>(), api::kGateName);
  const YAML::Node label = gate[0]["spec"]["matchConstraints"]["objectSelector"]["matchExpressions"][0];
  EXPECT_EQ(label["key"].as<std::string>(), api::kServingLabel);
  EXPECT_THAT(label["values"].as<std::vector<std::string>>(),
              testing::ElementsAre(api::serving::kTrue, api::serving::kDraining, api::serving::kFinishing));
  const auto message = gate[0]["spec"]["validations"][0]["messageExpression"].as<std::string>();
  EXPECT_THAT(message, testing::HasSubstr(std::string{api::kDrainStartedAnnotation}));
  EXPECT_THAT(message, testing::HasSubstr(std::string{api::kDrainReasonAnnotation}));
}

// `kubectl delete -k` goes from the top: nothing may be held that nobody is left to let go.
TEST(Gate, GoesBeforeAllElse) {
  const YAML::Node parts = YAML::Load(read("manifests/cluster/kustomization.yaml"));
  EXPECT_EQ(parts["sortOptions"]["order"].as<std::string>(), "fifo");
  EXPECT_EQ(parts["resources"][0].as<std::string>(), "../gate");
}

// name -> (expr, for)
using Alerts = std::map<std::string, std::pair<std::string, std::string>>;

Alerts alerts_in(const YAML::Node& rules) {
  Alerts out;
  for (const auto& rule : rules) {
    out[rule["alert"].as<std::string>()] = {rule["expr"].as<std::string>(), rule["for"].as<std::string>("")};
  }
  return out;
}

TEST(Alerts, AreThoseOfTheDocs) {
  const std::string page = read("docs/operations.md");
  const std::size_t section = page.find("## Alerts");
  const std::size_t begin = page.find("```yaml\n", section) + 8;
  const Alerts documented = alerts_in(YAML::Load(page.substr(begin, page.find("```", begin) - begin)));
  const YAML::Node rules = YAML::Load(read("manifests/overlays/prometheus/rules.yaml"));
  EXPECT_GT(documented.size(), 4U);
  EXPECT_EQ(alerts_in(rules["spec"]["groups"][0]["rules"]), documented);
}

TEST(Alerts, NameMetricsThatThereAre) {
  const std::string rules = read("manifests/overlays/prometheus/rules.yaml");
  const std::string contract = read("docs/contract.md");
  static const std::regex metric("poolwarden_[a-z_]+");
  std::size_t found = 0;
  for (std::sregex_iterator it(rules.begin(), rules.end(), metric), end; it != end; ++it, ++found) {
    const std::string name = std::regex_replace(it->str(), std::regex("_bucket$"), "");
    EXPECT_NE(contract.find("`" + name + "`"), std::string::npos) << name;
  }
  EXPECT_GT(found, 5U);
}

std::set<std::string> all_of(const std::string& text, const std::regex& pattern) {
  std::set<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), pattern), end; it != end; ++it) out.insert((*it)[1]);
  return out;
}

// Programs go by them, so each has its place in the contract.
TEST(Conditions, HaveTheReasonsOfTheDocs) {
  static const std::regex reason(
      R"re((?:is_(?:true|false|unknown)\(|emplace_back\(|return )\s*"([A-Z][A-Za-z]+)"[,);])re");
  std::set<std::string> given = all_of(read("operator/pool/conditions.cpp"), reason);
  static const std::regex of_remark(R"re(\.reason = "([A-Z][A-Za-z]+)")re");
  for (const char* path :
       {"operator/pool/node_drains.cpp", "operator/pool/drains.cpp", "operator/pool/remarks.cpp"})
    given.merge(all_of(read(path), of_remark));
  static const std::regex of_slices(R"re(remark\(seen, "([A-Z][A-Za-z]+)")re");
  given.merge(all_of(read("operator/pool/endpoint_slices.cpp"), of_slices));
  for (const std::string_view written :
       {api::failure::kNameTaken, api::failure::kForbidden, api::failure::kInvalid,
        api::failure::kWriteFailed, api::condition::kNodesUnseen})
    given.emplace(written);
  for (const char* of_target : {"NotFound", "Forbidden", "WrongKind"}) {
    EXPECT_TRUE(given.contains(of_target)) << of_target;
    given.insert(std::string("ScaleTarget") + of_target);
  }
  EXPECT_GT(given.size(), 40U);

  const std::string page = read("docs/contract.md");
  const std::size_t begin = page.find("### Conditions");
  const std::string section = page.substr(begin, page.find("\n## ", begin) - begin);
  std::set<std::string> documented = all_of(section, std::regex("`([A-Z][A-Za-z]+)`"));
  for (const std::string_view type : {api::condition::kAvailable, api::condition::kProgressing,
                                      api::condition::kDegraded, api::condition::kScaleTargetFound,
                                      api::condition::kEndpointsPublished, api::condition::kDisruptionSafe})
    EXPECT_EQ(documented.erase(std::string(type)), 1U) << type;
  EXPECT_EQ(given, documented);
}

// "core pods" -> what of it the fence looks at.
std::map<std::string, std::set<std::string>> fenced() {
  std::map<std::string, std::set<std::string>> out;
  const YAML::Node policy = YAML::LoadAll(read("manifests/fence/fence.yaml")).at(0);
  for (const auto& rule : policy["spec"]["matchConstraints"]["resourceRules"]) {
    const auto group = rule["apiGroups"][0].as<std::string>();
    for (const auto& resource : rule["resources"]) {
      auto& operations = out[(group.empty() ? "core" : group) + " " + resource.as<std::string>()];
      for (const auto& operation : rule["operations"]) operations.insert(operation.as<std::string>());
    }
  }
  return out;
}

// What it may write there by RBAC is judged, but for what says nothing that others act on.
TEST(Fence, IsAroundEachRightToWrite) {
  std::map<std::string, std::set<std::string>> expected;
  for (const std::string& grant : granted_to_operator()) {
    const std::size_t verb = grant.rfind(' ');
    const std::string what = grant.substr(0, verb);
    if (what == "events.k8s.io events" || what == "poolwarden.io inferencepools/status") continue;
    if (grant.ends_with(" create")) expected[what].insert("CREATE");
    if (grant.ends_with(" update") || grant.ends_with(" patch")) expected[what].insert("UPDATE");
  }
  EXPECT_EQ(fenced(), expected);
}

TEST(Fence, IsAroundTheOperatorAndRefusesWhatItCannotJudge) {
  const std::vector<YAML::Node> fence = YAML::LoadAll(read("manifests/fence/fence.yaml"));
  ASSERT_EQ(fence.size(), 2U);
  const YAML::Node account = YAML::Load(read("manifests/base/service_account.yaml"))["metadata"];
  EXPECT_EQ(fence[0]["spec"]["matchConditions"][0]["expression"].as<std::string>(),
            "request.userInfo.username == 'system:serviceaccount:" + account["namespace"].as<std::string>() +
                ":" + account["name"].as<std::string>() + "'");
  EXPECT_EQ(fence[0]["spec"]["failurePolicy"].as<std::string>(), "Fail");
  EXPECT_EQ(fence[1]["spec"]["policyName"].as<std::string>(), fence[0]["metadata"]["name"].as<std::string>());
  EXPECT_THAT(fence[1]["spec"]["validationActions"].as<std::vector<std::string>>(),
              testing::ElementsAre("Deny"));
}

TEST(Fence, KnowsTheNamesThatTheOperatorWrites) {
  const std::string fence = read("manifests/fence/fence.yaml");
  for (const std::string_view name :
       {api::kServingLabel, api::kPoolLabel, api::kReadyEndpointsLabel, api::kHealthLabel,
        api::kManagedByLabel, api::kDeletionCostAnnotation, api::kEndpointsJsonKey, api::kEndpointsTextKey,
        api::kPoolKind, api::kGroup})
    EXPECT_THAT(fence, testing::HasSubstr("'" + std::string{name})) << name;
  for (const std::string_view annotation :
       {api::kDrainStartedAnnotation, api::kDrainReasonAnnotation, api::kSavedCostAnnotation})
    EXPECT_TRUE(annotation.starts_with("poolwarden.io/")) << annotation;
  EXPECT_THAT(fence, testing::HasSubstr("== " + std::to_string(api::kBlockAllEvictions)));
}

// From one heading, or other line, to the next.
std::string between(const std::string& text, const std::string& begin, const std::string& end) {
  const std::size_t from = text.find(begin);
  EXPECT_NE(from, std::string::npos) << begin;
  if (from == std::string::npos) return {};
  return text.substr(from, text.find(end, from + begin.size()) - from);
}

// The page says what the API server was seen to do, line by line.
TEST(Fence, IsDocumentedAsItIsTried) {
  const std::string tried = read("tests/e2e/cases/91_fence.py");
  const std::string page = read("docs/security.md");
  static const std::regex row(R"re(\n    "([^"]+)": )re");
  static const std::regex item(R"re(\n- ([a-z][^\n]+))re");
  const auto refused = all_of(between(page, "### What the fence refuses", "\n#"), item);
  const auto allowed = all_of(between(page, "### What the fence lets through", "\n#"), item);
  EXPECT_EQ(refused, all_of(between(tried, "\nREFUSED", "\n}"), row));
  EXPECT_EQ(allowed, all_of(between(tried, "\nALLOWED", "\n}"), row));
  EXPECT_GT(refused.size(), 25U);
  EXPECT_GT(allowed.size(), 15U);
}

TEST(Roles, AreAddedToThoseOfKubernetes) {
  const std::vector<YAML::Node> roles = YAML::LoadAll(read("manifests/cluster/roles.yaml"));
  ASSERT_EQ(roles.size(), 2U);
  const auto added_to = [](const YAML::Node& role, const std::string& name) {
    const YAML::Node label = role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-" + name];
    return label && label.as<std::string>() == "true";
  };
  EXPECT_TRUE(added_to(roles[0], "view"));
  EXPECT_FALSE(added_to(roles[0], "edit"));
  EXPECT_TRUE(added_to(roles[1], "edit") && added_to(roles[1], "admin"));
  EXPECT_FALSE(added_to(roles[1], "view"));
  for (const auto& rule : roles[0]["rules"]) {
    EXPECT_THAT(rule["verbs"].as<std::vector<std::string>>(), testing::ElementsAre("get", "list", "watch"));
  }
}

TEST(NetworkPolicy, AdmitsOnlyMonitoringToTheMetrics) {
  const YAML::Node rules = YAML::Load(read("manifests/base/network_policy.yaml"))["spec"]["ingress"];
  ASSERT_EQ(rules.size(), 1U);
  EXPECT_EQ(rules[0]["ports"][0]["port"].as<std::string>(), "metrics");
  ASSERT_EQ(rules[0]["from"].size(), 1U);
  const YAML::Node monitoring = rules[0]["from"][0]["namespaceSelector"]["matchLabels"];
  EXPECT_EQ(monitoring["kubernetes.io/metadata.name"].as<std::string>(), "monitoring");
}

// The image that is built, installed and shown is this version's.
TEST(Version, IsTheSameEverywhere) {
  const std::string version = POOLWARDEN_VERSION;
  for (const char* path :
       {"manifests/base/deployment.yaml", "examples/gateway/gateway.yaml", "examples/routers/router.yaml"}) {
    EXPECT_THAT(read(path), testing::HasSubstr("image: ghcr.io/poolwarden/poolwarden:" + version + "\n"))
        << path;
  }
  EXPECT_THAT(read("examples/vllm-sim/deployment.yaml"),
              testing::HasSubstr("image: ghcr.io/poolwarden/vllm-sim:" + version + "\n"));
  const YAML::Node chart = YAML::Load(read("charts/poolwarden/Chart.yaml"));
  EXPECT_EQ(chart["version"].as<std::string>(), version);
  EXPECT_EQ(chart["appVersion"].as<std::string>(), version);
}

TEST(Deployment, IsWhatRestrictedPodSecurityAsksFor) {
  const YAML::Node pod = YAML::Load(read("manifests/base/deployment.yaml"))["spec"]["template"]["spec"];
  EXPECT_TRUE(pod["securityContext"]["runAsNonRoot"].as<bool>());
  EXPECT_EQ(pod["securityContext"]["seccompProfile"]["type"].as<std::string>(), "RuntimeDefault");
  const YAML::Node container = pod["containers"][0];
  EXPECT_FALSE(container["securityContext"]["allowPrivilegeEscalation"].as<bool>());
  EXPECT_TRUE(container["securityContext"]["readOnlyRootFilesystem"].as<bool>());
  EXPECT_EQ(container["securityContext"]["capabilities"]["drop"][0].as<std::string>(), "ALL");
  EXPECT_TRUE(container["resources"]["limits"]["memory"]);
}

}  // namespace
}  // namespace poolwarden

// The stand-in as kubectl sees it: what a person types, and what must be in the answer.
#include "support/apiserver/server.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace poolwarden::apiserver {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kCluster = R"(
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: "web:1", ports: [{containerPort: 8000}]}]}
status: {replicas: 2, readyReplicas: 2, updatedReplicas: 2, availableReplicas: 2, observedGeneration: 1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, namespace: default, labels: {app: web}}
spec: {nodeName: node-a, containers: [{name: main, image: "web:1"}]}
status:
  phase: Running
  podIP: 10.0.0.1
  conditions: [{type: Ready, status: "True"}]
  containerStatuses: [{name: main, ready: true, restartCount: 3, state: {running: {}}, image: "web:1", imageID: ""}]
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Node
metadata: {name: node-a}
status: {conditions: [{type: Ready, status: "True"}]}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: tanks.test.io}
spec:
  group: test.io
  scope: Namespaced
  names: {plural: tanks, singular: tank, kind: Tank, shortNames: [tk]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas, labelSelectorPath: .status.selector}}
    additionalPrinterColumns:
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Colour, type: string, jsonPath: .spec.colour, priority: 1}
    - {name: Age, type: date, jsonPath: .metadata.creationTimestamp}
    schema:
      openAPIV3Schema:
        type: object
        description: A tank of fish.
        properties:
          spec:
            type: object
            properties:
              replicas: {type: integer, minimum: 0, description: How many fish swim in it.}
              colour: {type: string, enum: [red, blue]}
          status: {type: object, x-kubernetes-preserve-unknown-fields: true}
---
apiVersion: test.io/v1
kind: Tank
metadata: {name: big, namespace: default}
spec: {replicas: 1, colour: red}
)";

struct Ran {
  int code = 0;
  std::string output;  // both streams
};

class KubectlTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* named = std::getenv("POOLWARDEN_KUBECTL");
    kubectl_ = named != nullptr ? named : "kubectl";
    if (shell(kubectl_ + " version --client").code != 0)
      GTEST_SKIP() << "no kubectl is installed; this test needs one";
    directory_ = std::filesystem::temp_directory_path() / fmt::format("apiserver-kubectl-{}", ::getpid());
    ServerOptions options;
    options.directory = directory_.string();
    auto started = Server::start(options);
    ASSERT_TRUE(started) << started.error();
    server_ = std::move(*started);
    server_->with_model([](Model& model) {
      const auto loaded = model.load(kCluster, std::chrono::system_clock::now());
      ASSERT_TRUE(loaded) << loaded.error();
      // kubectl describe looks events up by the uid of what they are about.
      const ObjectPtr pod = model.find(kube::kPods, "default", "web-1");
      const auto event = model.load(
          fmt::format("{{apiVersion: v1, kind: Event, metadata: {{name: web-1.1, namespace: default}}, "
                      "involvedObject: {{kind: Pod, namespace: default, name: web-1, uid: {}}}, "
                      "reason: Pulled, message: image is there, type: Normal}}",
                      pod->body()["metadata"]["uid"].get<std::string>()),
          std::chrono::system_clock::now());
      ASSERT_TRUE(event) << event.error();
    });
  }
  void TearDown() override {
    server_.reset();
    if (!directory_.empty()) std::filesystem::remove_all(directory_);
  }

  static Ran shell(const std::string& command) {
    Ran ran;
    FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
    if (pipe == nullptr) return {-1, "popen failed"};
    std::array<char, 4096> buffer{};
    while (const std::size_t size = std::fread(buffer.data(), 1, buffer.size(), pipe))
      ran.output.append(buffer.data(), size);
    const int status = ::pclose(pipe);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return ran;
  }
  std::string command(const std::string& arguments) {
    // HOME holds its caches: nothing of the user's is read or written.
    return fmt::format("HOME={} KUBECONFIG={} {} {}", directory_.string(), server_->kubeconfig_path(),
                       kubectl_, arguments);
  }
  Ran kubectl(const std::string& arguments) { return shell(command(arguments)); }
  std::string file(const std::string& name, const std::string& text) {
    const auto path = directory_ / name;
    std::ofstream(path) << text;
    return path.string();
  }

  std::string kubectl_;
  std::filesystem::path directory_;
  std::unique_ptr<Server> server_;
};

TEST_F(KubectlTest, Reads) {
  struct Row {
    const char* arguments;
    const char* expected;
  };
  const Row rows[] = {
      {"version", "v1.31.0+poolwarden-standin"},
      {"get pods", "web-1   1/1     Running   3"},
      {"get pods -o wide", "10.0.0.1   node-a"},
      {"get pods -o yaml", "podIP: 10.0.0.1"},
      {"get pod web-1 -o json", "\"podIP\": \"10.0.0.1\""},
      {"get pods -A -l app=web --show-labels", "app=web"},
      {"get pods --field-selector spec.nodeName=node-b", "No resources found"},
      {"get deploy,rs,svc,cm,nodes,leases -A", "deployment.apps/web   2/2     2            2"},
      {"get svc web", "ClusterIP"},
      {"get nodes", "node-a   Ready"},
      {"get events", "Pulled"},
      {"get tanks", "big    1"},
      {"get tk -o wide", "red"},
      {"get tank/big -o jsonpath={.spec.colour}", "red"},
      {"get crd", "tanks.test.io"},
      {"get all", "deployment.apps/web"},
      {"get ns", "kube-system"},
      {"get pods --chunk-size=1 -n kube-system", "No resources found"},
      {"describe pod web-1", "image is there"},
      {"describe deployment web", "2 desired"},
      {"describe svc web", "Selector:"},
      {"describe node node-a", "node-a"},
      {"describe tank big", "Colour:"},
      {"api-resources", "tanks"},
      {"rollout status deployment/web --timeout=60s", "successfully rolled out"},
      {"wait --for=condition=Ready pod/web-1 --timeout=60s", "condition met"},
      {"get pods --context=standin-certificate", "web-1"},
  };
  for (const Row& row : rows) {
    const Ran ran = kubectl(row.arguments);
    EXPECT_EQ(ran.code, 0) << row.arguments << "\n" << ran.output;
    EXPECT_THAT(ran.output, HasSubstr(row.expected)) << row.arguments;
  }
}

TEST_F(KubectlTest, Writes) {
  const std::string map =
      file("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: '1'}\n");
  const std::string changed =
      file("map2.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {b: '2'}\n");
  const std::string tank =
      file("tank.yaml", "apiVersion: test.io/v1\nkind: Tank\nmetadata: {name: small}\nspec: {replicas: 1}\n");
  const std::string bad =
      file("bad.yaml", "apiVersion: test.io/v1\nkind: Tank\nmetadata: {name: bad}\nspec: {colour: green}\n");
  struct Row {
    std::string arguments;
    const char* expected;
    int code = 0;
  };
  const Row rows[] = {
      {"apply -f " + map, "configmap/m created"},
      {"apply -f " + map, "configmap/m unchanged"},
      {"apply -f " + changed, "configmap/m configured"},
      {"get cm m -o jsonpath={.data}", "\"b\":\"2\""},
      {"apply -f " + tank, "tank.test.io/small created"},
      {"apply -f " + bad, "Unsupported value: \"green\"", 1},
      {"apply --server-side -f " + map + " --force-conflicts", "serverside-applied"},
      {"apply --server-side -f " + map + " --field-manager=other", "serverside-applied"},
      {"create configmap lit --from-literal=k=v", "configmap/lit created"},
      {"create configmap lit --from-literal=k=v", "already exists", 1},
      {"create namespace fresh", "namespace/fresh created"},
      {"create deployment made --image=x:1", "deployment.apps/made created"},
      {"label pod web-1 tier=gold", "pod/web-1 labeled"},
      {"label pod web-1 tier-", "pod/web-1"},
      {"annotate pod web-1 note=hello", "pod/web-1 annotated"},
      {"patch tank big --type=merge -p '{\"spec\":{\"colour\":\"blue\"}}'", "tank.test.io/big patched"},
      {"patch deployment web -p "
       "'{\"spec\":{\"template\":{\"spec\":{\"containers\":[{\"name\":\"main\",\"image\":\"web:2\"}]}}}}'",
       "patched"},
      {"get deployment web -o jsonpath={.spec.template.spec.containers[0].ports[0].containerPort}", "8000"},
      {"patch deployment web --type=json -p '[{\"op\":\"replace\",\"path\":\"/spec/replicas\",\"value\":1}]'",
       "patched"},
      {"scale deployment web --replicas=4", "deployment.apps/web scaled"},
      {"get deployment web -o jsonpath={.spec.replicas}", "4"},
      {"scale tank/big --replicas=7", "tank.test.io/big scaled"},
      {"get tank big -o jsonpath={.spec.replicas}", "7"},
      {"rollout restart deployment/web", "restarted"},
      {"delete tank small", "deleted"},
      {"delete pod web-1 --force --grace-period=0", "force deleted"},
      {"get pod web-1", "pods \"web-1\" not found", 1},
      {"delete namespace fresh", "deleted"},
      {"delete cm --all", "deleted"},
      {"delete deployment web --cascade=orphan", "deleted"},
      {"get tank nothing", "(NotFound)", 1},
  };
  for (const Row& row : rows) {
    const Ran ran = kubectl(row.arguments);
    EXPECT_EQ(ran.code, row.code) << row.arguments << "\n" << ran.output;
    EXPECT_THAT(ran.output, HasSubstr(row.expected)) << row.arguments;
  }
}

TEST_F(KubectlTest, WatchesTables) {
  const std::string table = file("table", "");
  const auto shown = [&table](const char* row) {
    return fmt::format("i=0; until grep -q '{}' {} || [ $i -ge 300 ]; do i=$((i + 1)); sleep 0.2; done; ",
                       row, table);
  };
  const Ran ran =
      shell(command("get tank big -w") + " >" + table + " 2>&1 & watch=$!; " + shown("big    1") +
            command("scale tank/big --replicas=9; ") + shown("big    9") + "kill $watch; wait; cat " + table);
  EXPECT_THAT(ran.output, HasSubstr("big    1"));
  EXPECT_THAT(ran.output, HasSubstr("big    9"));
}

TEST_F(KubectlTest, ExplainsCustomResources) {
  const Ran ran = kubectl("explain tank.spec.replicas");
  if (ran.output.find("couldn't find resource") != std::string::npos)
    GTEST_SKIP() << "this kubectl reads OpenAPI v2 only";
  EXPECT_THAT(ran.output, HasSubstr("How many fish swim in it"));
}

TEST_F(KubectlTest, DryRunsOnTheServer) {
  const Ran ran = kubectl("label tank big --dry-run=server tier=gold");
  if (ran.output.find("doesn't support dry-run") != std::string::npos)
    GTEST_SKIP() << "this kubectl reads OpenAPI v2 only";
  EXPECT_THAT(ran.output, HasSubstr("server dry run"));
  EXPECT_THAT(kubectl("get tank big --show-labels").output, Not(HasSubstr("gold")));
}

TEST_F(KubectlTest, ShowsLogs) {
  server_->set_log_handler(
      [](const LogRequest& request, const LogWriter& write) -> tl::expected<void, std::string> {
        if (request.previous) return tl::unexpected(std::string("previous terminated container not found"));
        write("line one\n");
        write(request.follow ? "followed\n" : "done\n");
        return {};
      });
  EXPECT_THAT(kubectl("logs web-1").output, HasSubstr("line one\ndone"));
  EXPECT_THAT(kubectl("logs -f web-1").output, HasSubstr("followed"));
  EXPECT_THAT(kubectl("logs -p web-1").output, HasSubstr("previous terminated container not found"));
}

TEST_F(KubectlTest, WaitsForAGracefulDelete) {
  std::thread kubelet([this] {
    // Ends the pod once it is marked, as a kubelet does.
    for (int i = 0; i < 600; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      bool marked = false;
      server_->with_model([&marked](Model& model) {
        const ObjectPtr pod = model.find(kube::kPods, "default", "web-1");
        marked = pod && pod->body()["metadata"].contains("deletionTimestamp");
      });
      if (!marked) continue;
      kube::HttpRequest end;
      end.method = kube::HttpMethod::kDelete;
      end.target = "/api/v1/namespaces/default/pods/web-1?gracePeriodSeconds=0";
      server_->request(end);
      return;
    }
  });
  const Ran ran = kubectl("delete pod web-1 --timeout=60s");
  kubelet.join();
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("deleted"));
  EXPECT_THAT(ran.output, Not(HasSubstr("timed out")));
}

}  // namespace
}  // namespace poolwarden::apiserver

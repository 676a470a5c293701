// `poolwarden gateway-sync` as it is run: the real binary, the stand-in API server over TLS, a real HAProxy.
#include "gateway/haproxy_answers.h"
#include "gateway/haproxy_socket.h"
#include "gateway_bench.h"
#include "http_client.h"
#include "support/apiserver/server.h"

#include <fstream>
#include <utility>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::gateway {
namespace {

using testing::HasSubstr;

// The program, as `poolwarden` is run.
TestProcess run_program(std::vector<std::string> arguments, const std::string& output) {
  arguments.insert(arguments.begin(), POOLWARDEN_BINARY);
  TestProcess process;
  process.start(std::move(arguments), output);
  return process;
}

void publish_set(apiserver::Server& server, kube::HttpMethod method, const api::EndpointSet& set) {
  const std::string name = api::shard_name("vllm-endpoints", set.shard);
  nlohmann::json labels = {{"poolwarden.io/pool", "vllm"}};
  if (set.shard > 1) labels["poolwarden.io/shard"] = std::to_string(set.shard);
  kube::HttpRequest request;
  request.method = method;
  request.target = "/api/v1/namespaces/default/configmaps";
  if (method == kube::HttpMethod::kPut) request.target += "/" + name;
  request.content_type = "application/json";
  request.body = nlohmann::json{{"apiVersion", "v1"},
                                {"kind", "ConfigMap"},
                                {"metadata", {{"namespace", "default"}, {"name", name}, {"labels", labels}}},
                                {"data", {{"endpoints.json", api::to_canonical_json(set)}}}}
                     .dump();
  const auto response = server.request(request);
  ASSERT_LT(response.status, 300) << response.body;
}

void publish(apiserver::Server& server, kube::HttpMethod method, std::int64_t revision,
             std::vector<api::Endpoint> endpoints) {
  publish_set(server, method, {"default", "vllm", revision, std::move(endpoints)});
}

// An API server, HAProxy, and `gateway-sync` between them.
class Bench {
 public:
  void start() {
    apiserver::ServerOptions options;
    options.address = fresh_ip();
    options.directory = directory_.file("api");
    auto started = apiserver::Server::start(options);
    ASSERT_TRUE(started) << started.error();
    server_ = std::move(*started);
    haproxy_.start();
  }
  apiserver::Server& server() { return *server_; }
  TestProcess run(const std::string& metrics_address, const std::string& probe_address) const {
    return run_program(
        {"gateway-sync", "--pool=vllm", "--namespace=default", "--kubeconfig=" + server_->kubeconfig_path(),
         "--haproxy-socket=" + haproxy_.socket_path(), "--haproxy-state-file=" + haproxy_.state_path(),
         "--allow-loopback", "--metrics-bind-address=" + metrics_address,
         "--health-probe-bind-address=" + probe_address},
        directory_.file("log"));
  }
  std::string log() const { return contents_of(directory_.file("log")); }
  // The replica that answers a request.
  std::string who() const { return HttpClient(haproxy_.ip(), HaproxyProcess::kPort).post("{}").text; }

 private:
  const TempDir directory_;
  std::unique_ptr<apiserver::Server> server_;
  HaproxyProcess haproxy_;
};

TEST(GatewayCommand, FollowsAPoolUntilItIsToldToEnd) {
  Bench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start());
  Replica a("a", fresh_ip()), b("b", fresh_ip());
  publish(bench.server(), kube::HttpMethod::kPost, 1, {endpoint_of(a)});

  const std::string probes = fresh_ip();
  TestProcess program = bench.run(probes + ":8082", probes + ":8083");
  ASSERT_TRUE(eventually([&] { return bench.who() == "a"; })) << bench.log();
  EXPECT_TRUE(eventually([&] { return HttpClient(probes, 8083).get("/readyz").status == 200; }));

  publish(bench.server(), kube::HttpMethod::kPut, 2, {endpoint_of(b)});
  EXPECT_TRUE(eventually([&] { return bench.who() == "b"; }));
  bench.server().drop_connections();
  publish(bench.server(), kube::HttpMethod::kPut, 3, {endpoint_of(a)});
  EXPECT_TRUE(eventually([&] { return bench.who() == "a"; }));
  // HAProxy answers a moment before the change that made it do so is counted.
  const auto metrics = [&] { return HttpClient(probes, 8082).get("/metrics").text; };
  const std::string withdrawn = "poolwarden_gateway_apply_seconds_count{change=\"withdraw\"} 2";
  EXPECT_TRUE(eventually([&] { return metrics().find(withdrawn) != std::string::npos; })) << metrics();
  EXPECT_THAT(metrics(), HasSubstr("poolwarden_gateway_up 1"));

  EXPECT_EQ(program.end(), 0) << bench.log();
  EXPECT_EQ(bench.who(), "a") << "HAProxy keeps its list";
}

// The list has two ConfigMaps: the second is found once the first counts it, and each is followed.
TEST(GatewayCommand, FollowsAListOfSeveralConfigMaps) {
  Bench bench;
  ASSERT_NO_FATAL_FAILURE(bench.start());
  Replica a("a", fresh_ip()), b("b", fresh_ip()), c("c", fresh_ip());
  using kube::HttpMethod;
  const auto first = [&](HttpMethod method, std::int64_t revision, std::vector<api::Endpoint> endpoints) {
    publish_set(bench.server(), method, {"default", "vllm", revision, std::move(endpoints), 1, 2});
  };
  const auto second = [&](HttpMethod method, std::int64_t revision, std::vector<api::Endpoint> endpoints) {
    publish_set(bench.server(), method, {"default", "vllm", revision, std::move(endpoints), 2, 1});
  };
  publish(bench.server(), HttpMethod::kPost, 1, {endpoint_of(a)});
  TestProcess program = bench.run("0", "0");
  ASSERT_TRUE(eventually([&] { return bench.who() == "a"; })) << bench.log();

  second(HttpMethod::kPost, 2, {endpoint_of(b)});
  first(HttpMethod::kPut, 3, {});
  ASSERT_TRUE(eventually([&] { return bench.who() == "b"; })) << bench.log();
  second(HttpMethod::kPut, 4, {endpoint_of(c)});
  ASSERT_TRUE(eventually([&] { return bench.who() == "c"; })) << bench.log();
  // Somebody makes up a revision; what is right again has a lower one.
  second(HttpMethod::kPut, 99'999'999'999'999'999, {endpoint_of(b)});
  ASSERT_TRUE(eventually([&] { return bench.who() == "b"; })) << bench.log();
  second(HttpMethod::kPut, 5, {endpoint_of(c)});
  ASSERT_TRUE(eventually([&] { return bench.who() == "c"; })) << bench.log();
  EXPECT_EQ(program.end(), 0) << bench.log();
}

// A gateway with a file, as examples/nginx has it, with a program that notes what it was run for.
TEST(GatewayCommand, WritesAFileAndRunsAProgramOnceMoreWhenItWasKilled) {
  const TempDir directory;
  apiserver::ServerOptions options;
  options.address = fresh_ip();
  options.directory = directory.file("api");
  auto server = apiserver::Server::start(options);
  ASSERT_TRUE(server) << server.error();
  const std::string out = directory.file("out"), runs = directory.file("runs"), log = directory.file("log");
  std::ofstream(directory.file("in")) << "{{namespace}}/{{pool}}:{{#ready}} {{name}}@{{address}}{{/ready}}\n";
  publish(**server, kube::HttpMethod::kPost, 1, {endpoint_at("a", "10.0.0.1", 8000)});
  const auto run = [&] {
    return run_program({"gateway-sync", "--pool=vllm", "--namespace=default",
                        "--kubeconfig=" + (*server)->kubeconfig_path(), "--metrics-bind-address=0",
                        "--health-probe-bind-address=0", "--template=" + directory.file("in") + ":" + out,
                        "--exec=/bin/sh -c 'cat " + out + " >> " + runs + "'", "--exec-pace-ms=20"},
                       log);
  };
  const std::string first = "default/vllm: a@10.0.0.1:8000\n";
  const std::string second = "default/vllm: b@10.0.0.2:8000\n";
  TestProcess program = run();
  ASSERT_TRUE(eventually([&] { return contents_of(runs) == first; })) << contents_of(log);
  program.kill();
  TestProcess again = run();
  ASSERT_TRUE(eventually([&] { return contents_of(runs) == first + first; })) << contents_of(log);
  publish(**server, kube::HttpMethod::kPut, 2, {endpoint_at("b", "10.0.0.2", 8000)});
  ASSERT_TRUE(eventually([&] { return contents_of(runs) == first + first + second; })) << contents_of(log);
  EXPECT_EQ(contents_of(out), second);
  EXPECT_EQ(again.end(), 0) << contents_of(log);
}

// Nobody asks Envoy, so nobody is told that it has the list: written is all that is known.
TEST(GatewayCommand, AnEnvoyThatIsNotAsked_HasItsFileAndTheOperatorIsToldNothing) {
  const TempDir directory;
  apiserver::ServerOptions options;
  options.address = fresh_ip();
  options.directory = directory.file("api");
  auto server = apiserver::Server::start(options);
  ASSERT_TRUE(server) << server.error();
  const std::string probes = fresh_ip(), log = directory.file("log"), file = directory.file("vllm.json");
  publish(**server, kube::HttpMethod::kPost, 1, {endpoint_at("a", "10.0.0.1", 8000)});
  TestProcess program = run_program(
      {"gateway-sync", "--pool=vllm", "--namespace=default", "--kubeconfig=" + (*server)->kubeconfig_path(),
       "--envoy-eds-dir=" + directory.file(""), "--envoy-admin=none", "--metrics-bind-address=0",
       "--health-probe-bind-address=" + probes + ":8083"},
      log);
  ASSERT_TRUE(eventually([&] { return contents_of(file).find("10.0.0.1") != std::string::npos; }))
      << contents_of(log);
  EXPECT_TRUE(eventually([&] { return HttpClient(probes, 8083).get("/readyz").status == 200; }));
  publish(**server, kube::HttpMethod::kPut, 2, {endpoint_at("b", "10.0.0.2", 8000)});
  ASSERT_TRUE(eventually([&] { return contents_of(file).find("10.0.0.2") != std::string::npos; }));
  EXPECT_EQ(program.end(), 0) << contents_of(log);
  EXPECT_THAT(
      contents_of(log),
      HasSubstr("Envoy is not asked what it holds (--envoy-admin=none): the operator is told nothing, and "
                "drains wait spec.drain.settleSeconds instead"));
  kube::HttpRequest leases;
  leases.target = "/apis/coordination.k8s.io/v1/namespaces/default/leases";
  const auto response = (*server)->request(leases);
  ASSERT_EQ(response.status, 200) << response.body;
  EXPECT_TRUE(nlohmann::json::parse(response.body)["items"].empty()) << response.body;
}

TEST(GatewayCommand, SaysWhichFlagIsWrong) {
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{"--haproxy-socket=nowhere"}, "--haproxy-socket: 'nowhere' is neither"},
      {{"--backend=a b"}, "--backend: 'a b' is not a name HAProxy allows"},
      {{"--server-prefix=;"}, "--server-prefix: ';' is not a name HAProxy allows"},
      {{"--withdraw-by=force"}, "--withdraw-by: 'force' is neither drain nor maint"},
      {{"--worker-api=http://127.0.0.1:1", "--dialect=smg", "--haproxy-socket=/run/other.sock"},
       "--haproxy-socket and --worker-api are two gateways"},
      {{"--worker-api=http://127.0.0.1:1"}, "--dialect: '' is none of vllm-router, sglang-router, smg"},
      {{"--worker-api=ftp://router", "--dialect=smg"}, "--worker-api: "},
      {{"--worker-api=http://127.0.0.1:1", "--dialect=smg", "--envoy-eds-dir=/run/eds"},
       "--worker-api and --envoy-eds-dir are two gateways"},
      {{"--envoy-eds-dir=/run/eds", "--envoy-cluster=a/b"}, "--envoy-cluster: 'a/b' is not a name"},
      {{"--envoy-eds-dir=/run/eds", "--envoy-admin=unix:/x"}, "--envoy-admin: "},
      {{"--envoy-eds-dir=/run/eds", "--haproxy-state-file=/run/x"},
       "--haproxy-state-file is for HAProxy: it needs --haproxy-socket"},
      {{"--haproxy-zone-weights=zone-a"}, "--haproxy-zone-weights: 'zone-a' is not ZONE=WEIGHT"},
      {{"--haproxy-zone-weights=zone-a=0,*=1"}, "--haproxy-zone-weights: zone-a=0: a zone of weight 0"},
      {{"--haproxy-zone-weights=zone-a=4,zone-b=1"}, "--haproxy-zone-weights: *=WEIGHT is missing"},
      {{"--envoy-eds-dir=/run/eds", "--haproxy-zone-weights=*=1"},
       "--haproxy-zone-weights is for HAProxy: it needs --haproxy-socket"},
      {{"--dialect=smg"}, "--dialect is for a router: it needs --worker-api"},
      {{"--worker-foreign=keep"}, "--worker-foreign is for a router: it needs --worker-api"},
      {{"--envoy-cluster=vllm"}, "--envoy-cluster is for Envoy: it needs --envoy-eds-dir"},
      {{"--worker-api=http://127.0.0.1:1", "--dialect=smg", "--envoy-admin=none"},
       "--envoy-admin is for Envoy: it needs --envoy-eds-dir"},
      {{"--exec=true"}, "--exec is for a gateway with a file: it needs --template"},
      {{"--signal=HUP:/run/nginx.pid"}, "--signal is for a gateway with a file: it needs --template"},
      {{"--template=a:b", "--envoy-eds-dir=/run/eds"}, "--envoy-eds-dir and --template are two gateways"},
      {{"--template=a"}, "--template: 'a' is not IN:OUT"},
      {{"--template=a:c", "--template=b:c"}, "--template: two templates would write c"},
      {{"--template=a:b", "--exec=nginx 'x"}, "--exec: a ' is not closed"},
      {{"--template=a:b", "--exec=true", "--signal=HUP:c"}, "--exec and --signal are two ways"},
      {{"--template=a:b", "--signal=KILL:c"}, "--signal: 'KILL' is none of"},
      {{"--template=a:b", "--exec=true", "--exec-timeout-ms=0"}, "--exec-timeout-ms: 0 is not between"},
      {{"--template=a:b", "--exec=true", "--exec-pace-ms=-1"}, "--exec-pace-ms: -1 is not between"},
      {{"--worker-api=http://127.0.0.1:1", "--dialect=smg", "--worker-foreign=ask"},
       "--worker-foreign: 'ask' is neither remove nor keep"},
      {{"--worker-api=http://127.0.0.1:1", "--dialect=smg", "--worker-api-key-file=/nowhere"},
       "--worker-api-key-file: "},
      {{"--poll-ms=1"}, "--poll-ms: 1 is not between"},
      {{"--log-level=loud"}, "--log-level: 'loud' is none of"},
      {{"--log-format=xml"}, "--log-format: 'xml' is neither"},
  };
  for (const auto& [flags, says] : rows) {
    const TempDir directory;
    std::vector<std::string> arguments = {"gateway-sync", "--pool=vllm"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    EXPECT_EQ(run_program(arguments, directory.file("log")).wait(), 2);
    EXPECT_THAT(contents_of(directory.file("log")), HasSubstr(says));
  }
}

}  // namespace
}  // namespace poolwarden::gateway

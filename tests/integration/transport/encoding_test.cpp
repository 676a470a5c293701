// Lists and watches over real sockets, from a server that answers in the one encoding or the other whatever
// it was asked for: what its Content-Type says is what counts.
#include "api/codecs.h"
#include "kube/bounded_queue.h"
#include "kube/informer_runner.h"
#include "support/protobuf/wire.h"
#include "transport_fixture.h"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::test {
namespace {

using Input = kube::InformerInput<api::Pod>;
using nlohmann::json;
using ::testing::HasSubstr;

json pod(const std::string& name, const std::string& version) {
  return {
      {"metadata", {{"name", name}, {"namespace", "ns"}, {"uid", "u-" + name}, {"resourceVersion", version}}},
      {"status", {{"podIP", "10.0.0.1"}}}};
}

struct Served {
  std::string list_type;
  std::string list;
  std::string watch_type;
  std::string watch;
};

Served in_json() {
  return {"application/json",
          json{{"metadata", {{"resourceVersion", "7"}}}, {"items", {pod("a", "5")}}}.dump(),
          "application/json", json{{"type", "ADDED"}, {"object", pod("b", "8")}}.dump() + "\n"};
}
Served in_protobuf() {
  namespace wire = protobuf_wire;
  return {"application/vnd.kubernetes.protobuf",
          wire::list("Pod", {wire::message("Pod", pod("a", "5"))}, {"7", "", 0}),
          "application/vnd.kubernetes.protobuf;stream=watch",
          wire::framed(wire::watch_event("ADDED", wire::object("Pod", pod("b", "8"))))};
}

// Follows pods on such a server until the watch has told of "b", or something went wrong: in words.
std::string follow(const Served& served) {
  HttpsServer server(localhost_server(), [&](ServerConnection& connection, const ServerRequest& request) {
    const bool is_watch = request.target.find("watch=true") != std::string::npos;
    const std::string type = is_watch ? served.watch_type : served.list_type;
    if (request.headers.at("accept") != "application/vnd.kubernetes.protobuf, application/json") {
      connection.reply(406, "");
    } else if (is_watch) {
      connection.send("HTTP/1.1 200 OK\r\nContent-Type: " + type + "\r\nTransfer-Encoding: chunked\r\n\r\n");
      connection.chunk(served.watch.substr(0, 5));
      connection.chunk(served.watch.substr(5));
      connection.client_gone(kLong);
    } else {
      connection.send(fmt::format("HTTP/1.1 200 OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n", type,
                                  served.list.size()));
      connection.send(served.list);
    }
  });
  const auto queue = std::make_shared<kube::BoundedQueue<Input>>(100);
  const auto now = [] { return std::chrono::steady_clock::now(); };
  const auto transport = transport_to(access_to(server.port()));
  kube::Client client(*transport);
  kube::Informer<api::PodCodec> informer(kube::ReflectorOptions{}, [] { return 0.0; });
  kube::InformerRunner<api::PodCodec> runner(client, kube::kPods, {}, now, [queue](Input input) {
    [[maybe_unused]] const bool in = queue->push(std::move(input));
  });
  runner.run(informer.start(now()));
  const auto give_up = now() + kLong;
  while (informer.store().size() < 2 && !informer.last_error() && now() < give_up) {
    queue->wait_until(give_up);
    std::vector<Input> inputs;
    queue->try_pop_all(inputs);
    kube::Informer<api::PodCodec>::Deltas deltas;
    for (Input& input : inputs) runner.run(informer.step(std::move(input), now(), deltas));
  }
  queue->close();
  if (informer.last_error()) return informer.last_error()->message;
  const auto pod = informer.store().find("ns", "b");
  return pod == nullptr ? "nothing" : pod->name + " " + pod->ip;
}

TEST(TransportEncoding, WhatTheServerSaysItIsCounts) {
  const Served json = in_json();
  const Served protobuf = in_protobuf();
  EXPECT_EQ(follow(protobuf), "b 10.0.0.1");
  EXPECT_EQ(follow(json), "b 10.0.0.1");
  EXPECT_EQ(follow({json.list_type, json.list, protobuf.watch_type, protobuf.watch}), "b 10.0.0.1");
  EXPECT_EQ(follow({protobuf.list_type, protobuf.list, json.watch_type, json.watch}), "b 10.0.0.1");
}

TEST(TransportEncoding, AServerThatLiesIsAnError) {
  const Served json = in_json();
  const Served protobuf = in_protobuf();
  EXPECT_THAT(follow({protobuf.list_type, json.list, "", ""}), HasSubstr("list pods"));
  EXPECT_THAT(follow({json.list_type, protobuf.list, "", ""}), HasSubstr("list pods"));
  EXPECT_THAT(follow({json.list_type, json.list, protobuf.watch_type, json.watch}), HasSubstr("watch pods"));
  EXPECT_THAT(follow({json.list_type, json.list, json.watch_type, protobuf.watch + "\n"}),
              HasSubstr("watch pods"));
}

}  // namespace
}  // namespace poolwarden::test

#include "unit/status_page/example_page.h"

#include <string>
#include <utility>

namespace poolwarden::status_page {
namespace {

using namespace std::chrono_literals;

EndpointPart pod(std::string name, std::string node, seconds age) {
  EndpointPart out;
  out.pod = std::move(name);
  out.node = std::move(node);
  out.state = "ready";
  out.age = age;
  out.listed = true;
  return out;
}

EndpointPart off_list(EndpointPart pod, std::string state, std::string reason, seconds in_state) {
  pod.state = std::move(state);
  pod.reason = std::move(reason);
  pod.in_state = in_state;
  pod.listed = false;
  return pod;
}

PoolPart pool(std::string name, std::int32_t ready, std::int32_t wanted,
              std::vector<EndpointPart> endpoints) {
  PoolPart out;
  out.name = std::move(name);
  out.ready = ready;
  out.wanted = wanted;
  for (const EndpointPart& endpoint : endpoints) {
    if (endpoint.listed) ++out.listed;
    if (endpoint.state == "draining") ++out.draining;
  }
  out.endpoints = std::move(endpoints);
  return out;
}

}  // namespace

StatusPage example_page() {
  StatusPage page;
  page.version = "0.1.0";
  page.age = 1s;
  page.role = Role::kLeads;
  page.identity = "poolwarden-6c9f7d5b8-x2mlq";
  PoolPart coder = pool(
      "research/qwen3-coder", 0, 2,
      {off_list(pod("qwen3-coder-5d8f9c7b4-7wq2z", "gpu-a100-03", 5h), "withdrawn", "NodeNotReady", 312s),
       off_list(pod("qwen3-coder-5d8f9c7b4-tb9kd", "gpu-a100-04", 29h), "withdrawn", "NotReady", 41s)});
  coder.level = Level::kTrouble;
  coder.problems = {{"Available is False (NoReadyEndpoints)", "No pod is ready: 1 NodeNotReady, 1 NotReady"}};
  PoolPart embed = pool(
      "serving/embed", 2, 2,
      {pod("embed-86bd5f9c6-9p4hn", "gpu-l4-01", 212h), pod("embed-86bd5f9c6-qv6tm", "gpu-l4-02", 212h)});
  embed.level = Level::kRisk;
  embed.problems = {
      {"DisruptionSafe is False (NoPreStopSleep)",
       "Deployment embed: no container has a preStop hook, so a deleted pod stops before gateways have heard "
       "of it; add lifecycle.preStop.sleep with the seconds that requests may take, or have pods given one: "
       "manifests/overlays/graceful"}};
  PoolPart chat =
      pool("serving/chat-70b", 3, 2,
           {off_list(pod("chat-70b-7ns4mzkhnp-ftgsb", "gpu-h100-01", 75h), "draining", "ScaleDown", 12s),
            pod("chat-70b-7ns4mzkhnp-2xk8v", "gpu-h100-02", 75h),
            pod("chat-70b-7ns4mzkhnp-k79bv", "gpu-h100-04", 26h)});
  page.pools = {coder, embed, chat};
  page.drains = {{"serving/chat-70b", "chat-70b-7ns4mzkhnp-ftgsb", "ScaleDown", "", 3, 12s, 288s}};
  page.consumers = {
      {"serving/chat-70b", "gateway-57c8b9d6f-hx5lw", "haproxy", 1840, 1, true, 2s},
      {"serving/chat-70b", "gateway-57c8b9d6f-n2vqp", "haproxy", 1841, 0, true, 1s},
      {"serving/embed", "gateway-57c8b9d6f-hx5lw", "haproxy", 96, 0, true, 4h},
  };
  return page;
}

}  // namespace poolwarden::status_page

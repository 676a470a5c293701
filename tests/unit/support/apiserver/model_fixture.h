// A model, a clock that stands still unless moved, and short ways to ask.
#pragma once

#include "support/apiserver/model.h"

#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace poolwarden::apiserver {

using nlohmann::json;
using namespace std::chrono_literals;

struct Answer {
  int status = 0;
  json body;
  std::string reason() const { return body.value("reason", std::string()); }
  std::string message() const { return body.value("message", std::string()); }
  std::string version() const { return body["metadata"].value("resourceVersion", std::string()); }
  std::string uid() const { return body["metadata"].value("uid", std::string()); }
};

class ModelTest : public ::testing::Test {
 protected:
  static constexpr const char* kPodsPath = "/api/v1/namespaces/default/pods";
  static constexpr const char* kMapsPath = "/api/v1/namespaces/default/configmaps";
  static constexpr const char* kMerge = "application/merge-patch+json";
  static constexpr const char* kApply = "application/apply-patch+yaml";
  static constexpr const char* kStrategic = "application/strategic-merge-patch+json";

  Answer ask(kube::HttpMethod method, std::string target, const json& body = json(),
             std::string type = "application/json", std::string accept = "application/json") {
    kube::HttpRequest request;
    request.method = method;
    request.target = std::move(target);
    if (!body.is_null()) {
      request.body = body.is_string() ? body.get<std::string>() : body.dump();
      request.content_type = std::move(type);
    }
    request.accept = std::move(accept);
    const kube::HttpResponse response = model.handle(request, now, info);
    return {response.status, json::parse(response.body, nullptr, false)};
  }
  Answer get(std::string target) { return ask(kube::HttpMethod::kGet, std::move(target)); }
  Answer post(std::string target, const json& body) {
    return ask(kube::HttpMethod::kPost, std::move(target), body);
  }
  Answer put(std::string target, const json& body) {
    return ask(kube::HttpMethod::kPut, std::move(target), body);
  }
  Answer patch(std::string target, const json& body, std::string type = kMerge) {
    return ask(kube::HttpMethod::kPatch, std::move(target), body, std::move(type));
  }
  Answer remove(std::string target, const json& options = json()) {
    return ask(kube::HttpMethod::kDelete, std::move(target), options);
  }

  static json pod(const std::string& name, const json& labels = json::object(),
                  const std::string& node = "node-a") {
    return {{"metadata", {{"name", name}, {"labels", labels}}},
            {"spec", {{"nodeName", node}, {"containers", {{{"name", "main"}, {"image", "x:1"}}}}}}};
  }
  static json config_map(const std::string& name, const json& data = json::object()) {
    return {{"metadata", {{"name", name}}}, {"data", data}};
  }
  void load(const std::string& yaml) {
    const auto loaded = model.load(yaml, now);
    ASSERT_TRUE(loaded) << loaded.error();
  }

  // The events a watch has for us now, as "TYPE name".
  WatchCursor watch(std::string target) {
    kube::HttpRequest request;
    request.target = std::move(target);
    auto opened = model.open_watch(request, now, info);
    if (auto* refusal = std::get_if<kube::HttpResponse>(&opened)) {
      ADD_FAILURE() << refusal->body;
      return nullptr;
    }
    return std::get<WatchCursor>(std::move(opened));
  }
  std::vector<std::string> events(Watch& cursor) {
    std::vector<std::string> out;
    const WatchRead read = model.read(cursor, now);
    last_events.clear();
    std::istringstream lines(read.bytes);
    for (std::string line; std::getline(lines, line);) {
      json event = json::parse(line);
      const json& object = event["object"];
      const std::string name =
          object.contains("metadata") ? object["metadata"].value("name", std::string()) : "";
      out.push_back(event["type"].get<std::string>() + (name.empty() ? "" : " " + name));
      last_events.push_back(std::move(event));
    }
    if (read.ended) out.emplace_back("END");
    return out;
  }

  Model model;
  Timestamp now{std::chrono::seconds(1'800'000'000)};
  RequestInfo info;
  std::vector<json> last_events;
};

}  // namespace poolwarden::apiserver

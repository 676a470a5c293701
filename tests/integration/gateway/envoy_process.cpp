#include "envoy_process.h"

#include "gateway/http_exchange.h"

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

void put(std::string& text, std::string_view what, std::string_view instead) {
  const auto at = text.find(what);
  ASSERT_NE(at, std::string::npos) << "the bootstrap of examples/envoy has no " << what;
  for (auto next = at; next != std::string::npos; next = text.find(what, next + instead.size()))
    text.replace(next, what.size(), instead);
}

}  // namespace

std::optional<std::string> envoy_program() {
  static const std::optional<std::string> kProgram = []() -> std::optional<std::string> {
    std::FILE* fetch = ::popen(POOLWARDEN_FETCH_ENVOY " envoy", "r");
    if (fetch == nullptr) return std::nullopt;
    char path[4'096] = {};
    const bool said = std::fgets(path, sizeof path, fetch) != nullptr;
    if (::pclose(fetch) != 0 || !said) return std::nullopt;
    std::string program(path);
    program.resize(program.find('\n'));
    return program;
  }();
  return kProgram;
}

EnvoyProcess::EnvoyProcess(const std::string& service_name) : ip_(fresh_ip()) {
  std::filesystem::create_directory(eds_directory());
  std::string bootstrap = contents_of(POOLWARDEN_ENVOY_YAML);
  put(bootstrap, "address: 127.0.0.1", "address: " + ip_);
  put(bootstrap, "address: 0.0.0.0", "address: " + ip_);
  put(bootstrap, "/run/envoy", eds_directory());
  if (!service_name.empty())
    put(bootstrap, "eds_cluster_config:", "eds_cluster_config:\n        service_name: " + service_name);
  std::ofstream(directory_.file("envoy.yaml")) << bootstrap;
}

std::string EnvoyProcess::admin() const {
  return fmt::format("http://{}:{}", ip_, kAdminPort);
}

void EnvoyProcess::start() {
  process_.start({envoy_program().value_or(""), "-c", directory_.file("envoy.yaml"), "--concurrency", "2",
                  "--disable-hot-restart", "--log-level", "warning"},
                 directory_.file("stderr"));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (std::chrono::steady_clock::now() < deadline) {
    const auto ready = exchange({ip_, kAdminPort}, HttpMethod::kGet, "/ready", {}, deadline);
    if (ready && ready->status == 200) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL() << "Envoy did not start: " << log();
}

std::string EnvoyProcess::log() const {
  return contents_of(directory_.file("stderr"));
}

}  // namespace poolwarden::gateway

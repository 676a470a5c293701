#include "nginx_process.h"

#include "http_client.h"

#include <filesystem>
#include <fstream>
#include <unistd.h>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace poolwarden::gateway {
namespace {

void put_everywhere(std::string& text, std::string_view what, std::string_view instead) {
  ASSERT_NE(text.find(what), std::string::npos) << "examples/nginx/nginx.conf has no " << what;
  for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + instead.size()))
    text.replace(at, what.size(), instead);
}

}  // namespace

std::optional<std::string> nginx_program() {
  for (const char* path : {"/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"}) {
    if (::access(path, X_OK) == 0) return path;
  }
  return std::nullopt;
}

NginxProcess::NginxProcess() : ip_(fresh_ip()) {
  std::filesystem::create_directory(directory_.file("run"));
  std::string config = contents_of(POOLWARDEN_NGINX "/nginx.conf");
  put_everywhere(config, "0.0.0.0:8080", fmt::format("{}:{}", ip_, kPort));
  put_everywhere(config, "/run/nginx", directory_.file("run"));
  put_everywhere(config, "worker_processes auto", "worker_processes 2");
  std::ofstream(directory_.file("nginx.conf")) << config;
  std::ofstream(template_file()) << contents_of(POOLWARDEN_NGINX "/pool.conf.mustache");
}

// A killed master leaves its workers behind.
NginxProcess::~NginxProcess() {
  if (process_.id() > 0) (void)process_.end();
}

void NginxProcess::start() {
  // Its workers are as whoever runs the test: the directory is that user's alone.
  const std::string globals = ::getuid() == 0 ? "daemon off; user root;" : "daemon off;";
  process_.start({nginx_program().value_or(""), "-c", directory_.file("nginx.conf"), "-g", globals},
                 directory_.file("stderr"));
  const auto serves = [&] { return HttpClient(ip_, kPort).get("/").status != 0; };
  ASSERT_TRUE(eventually(serves)) << "nginx did not start: " << log();
}

std::string NginxProcess::reload_command() const {
  return fmt::format("{} -c {} -s reload", nginx_program().value_or(""), directory_.file("nginx.conf"));
}

std::string NginxProcess::log() const {
  return contents_of(directory_.file("stderr"));
}

}  // namespace poolwarden::gateway

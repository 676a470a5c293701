#include "kube/credentials.h"

#include "base/json_read.h"
#include "base/time.h"
#include "kube/base64.h"
#include "kube/child_process.h"
#include "kube/read_file.h"

#include <algorithm>
#include <sys/stat.h>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube {
namespace {

using Failure = tl::unexpected<std::string>;

// The kubelet renews a token when 80 % of its life (an hour or more) is over, so that a minute is early
// enough; client-go uses the same period (transport/token_source.go).
constexpr auto kTokenFilePeriod = std::chrono::minutes(1);
constexpr auto kExpiryMargin = std::chrono::seconds(30);  // a plugin's run and one request fit in
constexpr auto kFailurePause = std::chrono::seconds(1);
constexpr std::size_t kMaxTokenBytes = 1u << 20;

bool fits_a_header(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f;
  });
}

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const auto first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// Changes when the file does, also when it is replaced by a rename within one tick of the file system's
// clock.
std::uint64_t file_stamp(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) {
    return 0;
  }
  const auto seconds = static_cast<std::uint64_t>(info.st_mtim.tv_sec);
  const auto nanoseconds = static_cast<std::uint64_t>(info.st_mtim.tv_nsec);
  return (seconds * 1'000'000'000U + nanoseconds) * 31 + static_cast<std::uint64_t>(info.st_ino);
}

std::string exec_info(const ExecPlugin& plugin) {
  nlohmann::json spec = {{"interactive", false}};
  if (!plugin.cluster_info.empty()) {
    spec["cluster"] = nlohmann::json::parse(plugin.cluster_info, nullptr, /*allow_exceptions=*/false);
  }
  return nlohmann::json{
      {"kind", "ExecCredential"}, {"apiVersion", plugin.api_version}, {"spec", std::move(spec)}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

tl::expected<ExecCredential, std::string> run_plugin(const ExecPlugin& plugin,
                                                     std::chrono::milliseconds deadline,
                                                     const std::stop_token& stop) {
  ChildProcess child;
  child.command = plugin.command;
  child.args = plugin.args;
  child.env = plugin.env;
  child.env.emplace_back("KUBERNETES_EXEC_INFO", exec_info(plugin));
  child.deadline = deadline;
  const auto output = run_child(child, stop);
  if (output) {
    return parse_exec_credential(plugin, *output);
  }
  std::string message = "credential plugin " + output.error().message;
  if (output.error().not_found) {
    message += plugin.install_hint.empty() ? "; install it or correct users[].user.exec.command"
                                           : "; " + std::string(without_blanks(plugin.install_hint));
  }
  return Failure(std::move(message));
}

}  // namespace

tl::expected<ExecCredential, std::string> parse_exec_credential(const ExecPlugin& plugin,
                                                                std::string_view output) {
  const auto fail = [&](std::string_view what) {
    return Failure(fmt::format("credential plugin {}: {}", plugin.command, what));
  };
  const auto json = nlohmann::json::parse(output, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return fail("its output is not a JSON object");
  }
  if (base::string_at(json, "kind") != "ExecCredential") {
    return fail("its output is not an ExecCredential");
  }
  if (const std::string version = base::string_at(json, "apiVersion"); version != plugin.api_version) {
    return fail(fmt::format("it answers with apiVersion \"{}\", but the kubeconfig asks for \"{}\"", version,
                            plugin.api_version));
  }
  const auto status = json.find("status");
  if (status == json.end() || !status->is_object()) {
    return fail("its output has no status, so no credential");
  }
  ExecCredential out;
  const std::string token = base::string_at(*status, "token");
  out.credential.client_certificate_pem = base::string_at(*status, "clientCertificateData");
  out.credential.client_key_pem = base::string_at(*status, "clientKeyData");
  if (out.credential.client_certificate_pem.empty() != out.credential.client_key_pem.empty()) {
    return fail("it gave only one of clientCertificateData and clientKeyData");
  }
  if (token.empty() && out.credential.client_certificate_pem.empty()) {
    return fail("it gave neither a token nor a client certificate");
  }
  if (!fits_a_header(token)) {
    return fail("its token holds blanks or control characters");
  }
  if (!token.empty()) {
    out.credential.authorization = "Bearer " + token;
  }
  if (const std::string expires = base::string_at(*status, "expirationTimestamp"); !expires.empty()) {
    out.expires = base::parse_rfc3339_clamped(expires);
    if (!out.expires) {
      return fail(fmt::format("its expirationTimestamp \"{}\" is not an RFC 3339 time", expires));
    }
  }
  return out;
}

bool still_usable(const ExecCredential& held, WallTime now) {
  return !held.expires || now < *held.expires - kExpiryMargin;
}

Credentials::Credentials(CredentialConfig config, Clock clock, std::chrono::milliseconds plugin_deadline)
    : config_(std::move(config)), clock_(std::move(clock)), plugin_deadline_(plugin_deadline) {
  if (std::holds_alternative<ExecPlugin>(config_)) {
    runner_ = std::jthread([this](const std::stop_token& stop) { run_plugins(stop); });
  }
}

Credentials::~Credentials() {
  std::vector<Done> waiting;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  if (runner_.joinable()) {
    runner_.request_stop();
    runner_.join();
  }
  {
    const std::lock_guard lock(mutex_);
    waiting.swap(waiting_);
  }
  for (const Done& done : waiting) {
    done(Failure("shutting down"));
  }
}

void Credentials::get(const Done& done) {
  const WallTime now = clock_();
  if (const auto* token = std::get_if<BearerToken>(&config_)) {
    return done(Credential{"Bearer " + token->token, {}, {}, 0});
  }
  if (const auto* basic = std::get_if<BasicAuth>(&config_)) {
    return done(Credential{"Basic " + base64_encode(basic->username + ":" + basic->password), {}, {}, 0});
  }
  if (const auto* file = std::get_if<BearerTokenFile>(&config_)) {
    return done(from_file(file->path, now));
  }
  if (!std::holds_alternative<ExecPlugin>(config_)) {
    return done(Credential{});
  }
  std::optional<tl::expected<Credential, std::string>> at_hand;
  {
    const std::lock_guard lock(mutex_);
    if (exec_ && still_usable(*exec_, now)) {
      at_hand = exec_->credential;
    } else if (!failure_.empty() && now >= failed_at_ && now < failed_at_ + kFailurePause) {
      at_hand = Failure(failure_);
    } else if (stopping_) {
      at_hand = Failure("shutting down");
    } else {
      waiting_.push_back(done);
    }
  }
  if (at_hand) {
    done(std::move(*at_hand));
  } else {
    wake_.notify_one();
  }
}

bool Credentials::refused(std::uint64_t generation) {
  const std::lock_guard lock(mutex_);
  if (std::holds_alternative<ExecPlugin>(config_)) {
    if (exec_ && exec_->credential.generation == generation) {
      exec_.reset();
    }
    return true;
  }
  if (std::holds_alternative<BearerTokenFile>(config_)) {
    if (file_token_ && file_token_->generation == generation) {
      file_read_at_ = WallTime{};  // read it again at once
    }
    return true;
  }
  return false;
}

tl::expected<Credential, std::string> Credentials::from_file(const std::string& path, WallTime now) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t stamp = file_stamp(path);
  const bool fresh = now >= file_read_at_ && now - file_read_at_ < kTokenFilePeriod;
  if (file_token_ && fresh && stamp == file_stamp_) {
    return *file_token_;
  }
  const auto text = read_file(path, kMaxTokenBytes);
  const std::string_view token = text ? without_blanks(*text) : std::string_view{};
  if (text && !token.empty() && fits_a_header(token)) {
    std::string authorization = "Bearer " + std::string(token);
    if (!file_token_ || file_token_->authorization != authorization) {
      file_token_ = Credential{std::move(authorization), {}, {}, generation_++};
    }
    file_read_at_ = now;
    file_stamp_ = stamp;
    return *file_token_;
  }
  if (file_token_) {
    return *file_token_;  // missing or half-written for a moment: the last good one still counts
  }
  if (!text) {
    return Failure(fmt::format("token file: {}", text.error()));
  }
  return Failure(fmt::format("token file {}: {}", path,
                             token.empty() ? "is empty" : "holds blanks or control characters"));
}

void Credentials::run_plugins(const std::stop_token& stop) {
  const ExecPlugin& plugin = std::get<ExecPlugin>(config_);
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (!wake_.wait(lock, stop, [this] { return !waiting_.empty(); })) {
        return;
      }
    }
    auto result = run_plugin(plugin, plugin_deadline_, stop);
    std::vector<Done> waiting;
    tl::expected<Credential, std::string> answer;
    {
      const std::lock_guard lock(mutex_);
      waiting.swap(waiting_);
      if (result) {
        result->credential.generation = generation_++;
        failure_.clear();
        answer = result->credential;
        exec_ = std::move(*result);
      } else {
        failure_ = result.error();
        failed_at_ = clock_();
        answer = Failure(failure_);
      }
    }
    for (const Done& done : waiting) {
      done(answer);
    }
  }
}

}  // namespace poolwarden::kube

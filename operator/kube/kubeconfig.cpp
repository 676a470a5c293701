#include "kube/kubeconfig.h"

#include "kube/base64.h"
#include "kube/kubeconfig_file.h"
#include "kube/tls.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::kube {
namespace {

constexpr std::string_view kExecExtension = "client.authentication.k8s.io/exec";

std::string names(const std::map<std::string, KubeconfigEntry>& entries) {
  std::string out;
  for (const auto& [name, entry] : entries) {
    out += (out.empty() ? "" : ", ") + name;
  }
  return out.empty() ? "none" : out;
}

bool is_plain_url_text(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte >= 0x7f || c == '?' || c == '#' || c == '@' || c == '\\' || c == '"';
  });
}

// "https://host:port/base" into the fields; what is wrong with it, if anything.
std::string split_server(std::string_view url, ClusterAccess& into) {
  into.server = url;
  if (url.starts_with("https://")) {
    into.tls = true;
    into.port = 443;
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    into.tls = false;
    into.port = 80;
    url.remove_prefix(7);
  } else {
    return "must begin with https:// (or http://)";
  }
  if (!is_plain_url_text(url)) {
    return "must be a plain URL: scheme, host, port and path only";
  }
  const auto slash = url.find('/');
  std::string_view authority = url.substr(0, slash);
  std::string_view path = slash == std::string_view::npos ? std::string_view() : url.substr(slash);
  while (path.ends_with('/')) {
    path.remove_suffix(1);
  }
  into.base_path = path;
  std::string_view port;
  if (authority.starts_with('[')) {
    const auto end = authority.find(']');
    if (end == std::string_view::npos) {
      return "has an unclosed [ in its IPv6 address";
    }
    into.host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
  } else {
    const auto colon = authority.find(':');
    into.host = authority.substr(0, colon);
    port = colon == std::string_view::npos ? std::string_view() : authority.substr(colon);
  }
  if (into.host.empty()) {
    return "names no host";
  }
  if (port.empty()) {
    return {};
  }
  const std::string_view digits = port.substr(1);
  unsigned value = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (port.front() != ':' || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() ||
      value == 0 || value > 65535) {
    return "has no valid port (1 to 65535)";
  }
  into.port = static_cast<std::uint16_t>(value);
  return {};
}

void read_cluster(const KubeconfigEntry& cluster, ClusterAccess& into) {
  const std::string server = cluster.text("server");
  if (server.empty()) {
    cluster.wrong("has no server");
  }
  if (const std::string what = split_server(server, into); !what.empty()) {
    cluster.wrong(fmt::format("server \"{}\" {}", server, what));
  }
  if (cluster.has("proxy-url")) {
    cluster.wrong(
        "proxy-url is not supported; reach the API server directly, or run `kubectl proxy` and use its URL");
  }
  into.tls_server_name = cluster.text("tls-server-name");
  into.ca_pem = cluster.data_or_file("certificate-authority");
  if (cluster.flag("insecure-skip-tls-verify")) {
    if (!into.ca_pem.empty()) {
      cluster.wrong("has both certificate-authority and insecure-skip-tls-verify; remove one of them");
    }
    into.verification = TlsVerification::kNone;
  }
  if (!into.ca_pem.empty()) {
    if (const std::string what = check_ca_pem(into.ca_pem); !what.empty()) {
      cluster.wrong("certificate-authority " + what);
    }
  }
}

nlohmann::json to_json(const YAML::Node& node, int depth = 0) {
  constexpr int kDeepest = 32;
  if (depth > kDeepest) {
    return nullptr;
  }
  switch (node.Type()) {
    case YAML::NodeType::Scalar: {
      // Quoted scalars carry the tag "!"; of the plain ones, what JSON would read as no string is none.
      const auto value = nlohmann::json::parse(node.Scalar(), nullptr, /*allow_exceptions=*/false);
      const bool typed = value.is_number() || value.is_boolean() || value.is_null();
      return node.Tag() != "!" && typed ? value : nlohmann::json(node.Scalar());
    }
    case YAML::NodeType::Sequence: {
      auto list = nlohmann::json::array();
      for (const YAML::Node& item : node) {
        list.push_back(to_json(item, depth + 1));
      }
      return list;
    }
    case YAML::NodeType::Map: {
      auto map = nlohmann::json::object();
      for (const auto& pair : node) {
        map[pair.first.IsScalar() ? pair.first.Scalar() : std::string()] = to_json(pair.second, depth + 1);
      }
      return map;
    }
    default:
      return nullptr;
  }
}

// What a plugin that asks for it (provideClusterInfo) is told in KUBERNETES_EXEC_INFO.
std::string cluster_info(const KubeconfigEntry& cluster, const ClusterAccess& access) {
  nlohmann::json info = {{"server", access.server}};
  if (!access.tls_server_name.empty()) {
    info["tls-server-name"] = access.tls_server_name;
  }
  if (access.verification == TlsVerification::kNone) {
    info["insecure-skip-tls-verify"] = true;
  }
  if (!access.ca_pem.empty()) {
    info["certificate-authority-data"] = base64_encode(access.ca_pem);
  }
  const YAML::Node extensions = cluster.node("extensions");
  if (extensions.IsDefined() && extensions.IsSequence()) {
    for (const YAML::Node& extension : extensions) {
      if (extension.IsMap() && extension["name"].IsDefined() && extension["name"].IsScalar() &&
          extension["name"].Scalar() == kExecExtension) {
        info["config"] = to_json(extension["extension"]);
      }
    }
  }
  return info.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

ExecPlugin read_exec(const KubeconfigEntry& exec, const KubeconfigEntry& cluster,
                     const ClusterAccess& access) {
  ExecPlugin plugin;
  plugin.api_version = exec.text("apiVersion");
  if (plugin.api_version != "client.authentication.k8s.io/v1" &&
      plugin.api_version != "client.authentication.k8s.io/v1beta1") {
    exec.wrong(
        fmt::format("apiVersion is \"{}\", but only client.authentication.k8s.io/v1 and v1beta1 are known; "
                    "update the plugin's entry",
                    plugin.api_version));
  }
  plugin.command = exec.text("command");
  if (plugin.command.empty()) {
    exec.wrong("has no command");
  }
  if (plugin.command.find('/') != std::string::npos) {
    plugin.command = exec.resolved(plugin.command);
  }
  if (exec.text("interactiveMode") == "Always") {
    exec.wrong(
        "interactiveMode is Always, but there is no terminal to ask at; use a token or a client certificate");
  }
  plugin.install_hint = exec.text("installHint");
  if (const YAML::Node args = exec.node("args"); args.IsDefined()) {
    if (!args.IsSequence()) {
      exec.wrong("args is not a list");
    }
    for (const YAML::Node& arg : args) {
      if (!arg.IsScalar()) {
        exec.wrong("args holds something that is not a text");
      }
      plugin.args.push_back(arg.Scalar());
    }
  }
  if (const YAML::Node env = exec.node("env"); env.IsDefined()) {
    if (!env.IsSequence()) {
      exec.wrong("env is not a list");
    }
    for (const YAML::Node& item : env) {
      const KubeconfigEntry variable(exec.file(), exec.title() + ".env", item);
      const std::string name = item.IsMap() ? variable.text("name") : std::string();
      if (name.empty()) {
        exec.wrong("env holds an entry without a name");
      }
      plugin.env.emplace_back(name, variable.text("value"));
    }
  }
  if (exec.flag("provideClusterInfo")) {
    plugin.cluster_info = cluster_info(cluster, access);
  }
  return plugin;
}

void read_client_certificate(const KubeconfigEntry& user, ClusterAccess& into) {
  into.client_certificate_pem = user.data_or_file("client-certificate");
  into.client_key_pem = user.data_or_file("client-key");
  if (into.client_certificate_pem.empty() && into.client_key_pem.empty()) {
    return;
  }
  if (into.client_key_pem.empty()) {
    user.wrong("has a client-certificate but no client-key");
  }
  if (into.client_certificate_pem.empty()) {
    user.wrong("has a client-key but no client-certificate");
  }
  if (const std::string what = check_client_pem(into.client_certificate_pem, into.client_key_pem);
      !what.empty()) {
    user.wrong(what);
  }
}

CredentialConfig read_credential(const KubeconfigEntry& user, const KubeconfigEntry& cluster,
                                 const ClusterAccess& access) {
  if (user.has("auth-provider")) {
    user.wrong("auth-provider is no longer part of Kubernetes (since 1.26); use exec instead");
  }
  for (const char* key : {"as", "as-uid", "as-groups", "as-user-extra"}) {
    if (user.has(key)) {
      user.wrong(fmt::format("{} (impersonation) is not supported; use that user's own credential", key));
    }
  }
  const bool token = user.has("token") || user.has("tokenFile");
  const bool basic = user.has("username") || user.has("password");
  const bool exec = user.has("exec");
  if (static_cast<int>(token) + static_cast<int>(basic) + static_cast<int>(exec) > 1) {
    user.wrong(fmt::format("has more than one way to log in ({}{}{}); keep one of them",
                           token ? "token " : "", basic ? "username/password " : "", exec ? "exec" : ""));
  }
  if (exec) {
    return read_exec(user.child("exec"), cluster, access);
  }
  if (basic) {
    if (user.text("username").empty() || user.text("password").empty()) {
      user.wrong("has only one of username and password");
    }
    return BasicAuth{user.text("username"), user.text("password")};
  }
  // With both, the file counts, as in client-go: it is the one that is kept fresh.
  if (const std::string file = user.path("tokenFile"); !file.empty()) {
    return BearerTokenFile{file};
  }
  const std::string value = user.text("token");
  if (!std::all_of(value.begin(), value.end(), [](char c) { return c > 0x20 && c < 0x7f; })) {
    user.wrong("token holds blanks or control characters");
  }
  if (!value.empty()) {
    return BearerToken{value};
  }
  return NoCredential{};
}

const KubeconfigEntry& find(const std::map<std::string, KubeconfigEntry>& entries, const std::string& name,
                            const KubeconfigEntry& context, const char* kind) {
  if (name.empty()) {
    context.wrong(fmt::format("names no {}", kind));
  }
  const auto it = entries.find(name);
  if (it == entries.end()) {
    context.wrong(fmt::format("there is no {} \"{}\"; there are: {}", kind, name, names(entries)));
  }
  return it->second;
}

const KubeconfigEntry& find_context(const Kubeconfig& config, const std::string& wanted) {
  const std::string& name = wanted.empty() ? config.current_context : wanted;
  const std::string where = "kubeconfig " + config.files;
  if (config.contexts.empty() && config.clusters.empty()) {
    throw KubeconfigMistake(where + ": is empty: it names no cluster and no context");
  }
  if (name.empty()) {
    throw KubeconfigMistake(fmt::format("{}: there is no current-context; choose one with --context: {}",
                                        where, names(config.contexts)));
  }
  const auto it = config.contexts.find(name);
  if (it == config.contexts.end()) {
    throw KubeconfigMistake(fmt::format("{}: there is no context \"{}\" ({}); there are: {}", where, name,
                                        wanted.empty() ? "its current-context" : "asked for with --context",
                                        names(config.contexts)));
  }
  return it->second;
}

ClusterAccess resolve(const Kubeconfig& config, const std::string& wanted) {
  const KubeconfigEntry& context = find_context(config, wanted);
  const KubeconfigEntry& cluster = find(config.clusters, context.text("cluster"), context, "cluster");
  ClusterAccess out;
  out.source = fmt::format("{}, {}", context.file(), context.title());
  read_cluster(cluster, out);
  if (const std::string name = context.text("user"); !name.empty()) {  // anonymous access has none
    const KubeconfigEntry& user = find(config.users, name, context, "user");
    read_client_certificate(user, out);
    out.credential = read_credential(user, cluster, out);
  }
  if (const std::string ns = context.text("namespace"); !ns.empty()) {
    out.ns = ns;
  }
  return out;
}

}  // namespace

Result<ClusterAccess> load_kubeconfig(const std::vector<std::string>& files, const std::string& context,
                                      MissingFile missing) {
  const auto fail = [](std::string message) {
    return tl::unexpected(Error{ErrorClass::kTerminal, 0, "BadKubeconfig", std::move(message), std::nullopt});
  };
  try {
    const Kubeconfig config = read_kubeconfigs(files, missing);
    if (config.files.empty()) {
      return fail(fmt::format("kubeconfig: none of the files exists: {}", fmt::join(files, ", ")));
    }
    return resolve(config, context);
  } catch (const KubeconfigMistake& mistake) {
    return fail(mistake.what());
  } catch (const YAML::Exception& error) {
    return fail(fmt::format("kubeconfig {}: {}", fmt::join(files, ":"), error.what()));
  }
}

}  // namespace poolwarden::kube

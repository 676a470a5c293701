#include "support/cluster/launch.h"

#include "support/apiserver/json_util.h"
#include "support/cluster/pod_facts.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace poolwarden::cluster {
namespace {

using apiserver::find_path;
using apiserver::text_at;
using nlohmann::json;

const std::string* lookup(const Environment& env, std::string_view name) {
  const auto it =
      std::find_if(env.rbegin(), env.rend(), [name](const auto& each) { return each.first == name; });
  return it == env.rend() ? nullptr : &it->second;
}

// metadata.labels['app'] -> app
std::string_view subscript(std::string_view path, std::string_view field) {
  if (path.size() < field.size() + 4 || path.substr(0, field.size()) != field) return {};
  const std::string_view rest = path.substr(field.size());
  if (rest.substr(0, 2) != "['" || rest.substr(rest.size() - 2) != "']") return {};
  return rest.substr(2, rest.size() - 4);
}

tl::expected<std::string, std::string> field_value(const json& pod, std::string_view path,
                                                   const std::string& ip) {
  if (path == "metadata.name") return text_at(pod, {"metadata", "name"});
  if (path == "metadata.namespace") return text_at(pod, {"metadata", "namespace"});
  if (path == "metadata.uid") return text_at(pod, {"metadata", "uid"});
  if (path == "spec.nodeName") return text_at(pod, {"spec", "nodeName"});
  if (path == "status.podIP" || path == "status.podIPs") return ip;
  if (path == "status.hostIP") return std::string("127.0.0.1");
  if (const auto key = subscript(path, "metadata.labels"); !key.empty()) return label(pod, key);
  if (const auto key = subscript(path, "metadata.annotations"); !key.empty()) return annotation(pod, key);
  return tl::unexpected(fmt::format("fieldPath \"{}\" is not known to the stand-in kubelet", path));
}

tl::expected<Environment, std::string> environment(const json& pod, const json& container,
                                                   const std::string& ip) {
  Environment env = {{"POD_NAME", text_at(pod, {"metadata", "name"})},
                     {"POD_NAMESPACE", text_at(pod, {"metadata", "namespace"})},
                     {"POD_IP", ip}};
  const json* list = find_path(container, {"env"});
  if (list == nullptr || !list->is_array()) return env;
  for (const json& each : *list) {
    std::string name = text_at(each, {"name"});
    const json* from = find_path(each, {"valueFrom"});
    if (from == nullptr) {
      std::string value = expand(text_at(each, {"value"}), env);
      env.emplace_back(std::move(name), std::move(value));
      continue;
    }
    const std::string path = text_at(*from, {"fieldRef", "fieldPath"});
    if (path.empty()) {
      return tl::unexpected(
          fmt::format("env {}: the stand-in kubelet only knows value and valueFrom.fieldRef", name));
    }
    auto value = field_value(pod, path, ip);
    if (!value) return tl::unexpected(fmt::format("env {}: {}", name, value.error()));
    env.emplace_back(std::move(name), std::move(*value));
  }
  return env;
}

std::vector<std::string> words(const json* list, const Environment& env) {
  std::vector<std::string> result;
  if (list == nullptr || !list->is_array()) return result;
  for (const json& word : *list) {
    if (word.is_string()) result.push_back(expand(word.get_ref<const std::string&>(), env));
  }
  return result;
}

}  // namespace

std::string expand(std::string_view text, const Environment& env) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '$' || i + 1 == text.size()) {
      result += text[i];
    } else if (text[i + 1] == '$') {
      result += text[++i];
    } else if (const std::size_t end = text[i + 1] == '(' ? text.find(')', i) : std::string_view::npos;
               end != std::string_view::npos) {
      const std::string* value = lookup(env, text.substr(i + 2, end - i - 2));
      result += value != nullptr ? std::string_view(*value) : text.substr(i, end - i + 1);
      i = end;
    } else {
      result += '$';
    }
  }
  return result;
}

tl::expected<LaunchSpec, std::string> launch_spec(const json& pod, const json& container,
                                                  const std::string& ip) {
  auto env = environment(pod, container, ip);
  if (!env) return tl::unexpected(env.error());
  LaunchSpec spec;
  spec.ns = text_at(pod, {"metadata", "namespace"});
  spec.pod = text_at(pod, {"metadata", "name"});
  spec.ip = ip;
  spec.image = text_at(container, {"image"});
  spec.command = words(find_path(container, {"command"}), *env);
  spec.args = words(find_path(container, {"args"}), *env);
  spec.env = std::move(*env);
  return spec;
}

}  // namespace poolwarden::cluster

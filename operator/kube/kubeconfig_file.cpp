#include "kube/kubeconfig_file.h"

#include "kube/base64.h"
#include "kube/kubeconfig.h"
#include "kube/read_file.h"

#include <filesystem>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>

namespace poolwarden::kube {
namespace {

constexpr std::size_t kMaxKubeconfigBytes = 10u << 20;

std::string plain(const YAML::Node& node) {
  return node.IsDefined() && node.IsScalar() ? node.Scalar() : std::string();
}

[[noreturn]] void wrong_file(const std::string& file, const std::string& what) {
  throw KubeconfigMistake(fmt::format("kubeconfig {}: {}", file, what));
}

// Looks at one document and keeps nothing.
class Skip final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {
  }
  void OnMapEnd() override {}
};

// Not YAML::LoadAll: on text that starts with a comma it makes empty documents for ever (yaml-cpp 0.7).
bool goes_on_after_document(const std::string& text) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Skip skip;
  parser.HandleNextDocument(skip);
  return static_cast<bool>(parser);
}

void add_entries(const YAML::Node& root, const std::string& file, const char* list, const char* kind,
                 std::map<std::string, KubeconfigEntry>& into) {
  const YAML::Node entries = root[list];
  if (!entries.IsDefined() || entries.IsNull()) {
    return;
  }
  if (!entries.IsSequence()) {
    wrong_file(file, fmt::format("{} is not a list", list));
  }
  std::map<std::string, KubeconfigEntry> own;
  for (const YAML::Node& entry : entries) {
    const std::string name = entry.IsMap() ? plain(entry["name"]) : std::string();
    if (name.empty()) {
      wrong_file(file, fmt::format("{} holds an entry without a name", list));
    }
    const YAML::Node body = entry[kind];
    const std::string title = fmt::format("{} \"{}\"", kind, name);
    if (body.IsDefined() && !body.IsNull() && !body.IsMap()) {
      wrong_file(file, title + " is not a map");
    }
    if (!own.emplace(name, KubeconfigEntry(file, title, body)).second) {
      wrong_file(file, title + " is there twice");
    }
  }
  into.merge(own);  // keeps what an earlier file has said
}

void add_file(const std::string& file, const std::string& text, Kubeconfig& into) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
    if (goes_on_after_document(text)) {
      wrong_file(file, "holds several YAML documents, or text outside of any, but must be one document");
    }
  } catch (const YAML::Exception& error) {
    wrong_file(file, fmt::format("is not YAML: {}", error.what()));
  }
  if (!root.IsDefined() || root.IsNull()) {
    return;  // an empty file is an empty config
  }
  if (!root.IsMap()) {
    wrong_file(file, "is not a kubeconfig: it holds no map");
  }
  const YAML::Node& config = root;  // reading a const node never adds to it
  if (const YAML::Node kind = config["kind"]; kind.IsDefined() && plain(kind) != "Config") {
    wrong_file(file, fmt::format("is not a kubeconfig: its kind is \"{}\" and not \"Config\"", plain(kind)));
  }
  if (const YAML::Node version = config["apiVersion"]; version.IsDefined() && plain(version) != "v1") {
    wrong_file(file, fmt::format("has apiVersion \"{}\", but only \"v1\" is known", plain(version)));
  }
  add_entries(config, file, "clusters", "cluster", into.clusters);
  add_entries(config, file, "users", "user", into.users);
  add_entries(config, file, "contexts", "context", into.contexts);
  const YAML::Node current = config["current-context"];
  if (into.current_context.empty() && current.IsDefined() && !current.IsNull()) {
    if (!current.IsScalar()) {
      wrong_file(file, "current-context is not a name");
    }
    into.current_context = current.Scalar();
  }
}

}  // namespace

void KubeconfigEntry::wrong(const std::string& what) const {
  throw KubeconfigMistake(fmt::format("kubeconfig {}: {}: {}", file_, title_, what));
}

YAML::Node KubeconfigEntry::node(const char* key) const {
  const YAML::Node& map = node_;
  if (!map.IsDefined() || !map.IsMap()) {
    return YAML::Node(YAML::NodeType::Undefined);
  }
  const YAML::Node found = map[key];
  return found.IsDefined() && !found.IsNull() ? found : YAML::Node(YAML::NodeType::Undefined);
}

bool KubeconfigEntry::has(const char* key) const {
  return node(key).IsDefined();
}

std::string KubeconfigEntry::text(const char* key) const {
  const YAML::Node found = node(key);
  if (!found.IsDefined()) {
    return {};
  }
  if (!found.IsScalar()) {
    wrong(fmt::format("{} is not a text", key));
  }
  return found.Scalar();
}

bool KubeconfigEntry::flag(const char* key) const {
  const std::string value = text(key);
  if (value != "true" && value != "false" && !value.empty()) {
    wrong(fmt::format("{} is \"{}\", but must be true or false", key, value));
  }
  return value == "true";
}

KubeconfigEntry KubeconfigEntry::child(const char* key) const {
  const YAML::Node found = node(key);
  if (found.IsDefined() && !found.IsMap()) {
    wrong(fmt::format("{} is not a map", key));
  }
  return KubeconfigEntry(file_, fmt::format("{}.{}", title_, key), found);
}

std::string KubeconfigEntry::resolved(const std::string& path) const {
  const std::filesystem::path given(path);
  return given.is_absolute() ? path : (std::filesystem::path(file_).parent_path() / given).string();
}

std::string KubeconfigEntry::path(const char* key) const {
  const std::string given = text(key);
  return given.empty() ? given : resolved(given);
}

std::string KubeconfigEntry::data_or_file(const std::string& key) const {
  const std::string data_key = key + "-data";
  if (const std::string data = text(data_key.c_str()); !data.empty()) {
    auto bytes = base64_decode(data);
    if (!bytes) {
      wrong(data_key + " is not base64");
    }
    return std::move(*bytes);
  }
  const std::string from = path(key.c_str());
  if (from.empty()) {
    return {};
  }
  auto bytes = read_file(from, kMaxKubeconfigBytes);
  if (!bytes) {
    wrong(fmt::format("{}: {}", key, bytes.error()));
  }
  if (bytes->empty()) {
    wrong(fmt::format("{}: {} is empty", key, from));
  }
  return std::move(*bytes);
}

Kubeconfig read_kubeconfigs(const std::vector<std::string>& files, MissingFile missing) {
  Kubeconfig out;
  for (const std::string& file : files) {
    std::error_code ignored;
    if (missing == MissingFile::kIsSkipped && !std::filesystem::exists(file, ignored)) {
      continue;
    }
    const auto text = read_file(file, kMaxKubeconfigBytes);
    if (!text) {
      throw KubeconfigMistake("kubeconfig: " + text.error());
    }
    add_file(file, *text, out);
    out.files += (out.files.empty() ? "" : ":") + file;
  }
  return out;
}

}  // namespace poolwarden::kube
